"""The attentions of com.microsoft, decomposed: softmax(Q K^T / sqrt(d) + masks) V, head by head.

Vaswani et al., 2017, arXiv:1706.03762; the rotation of Su et al., 2021, arXiv:2104.09864; several queries to a key,
Ainslie et al., 2023, arXiv:2305.13245. Heads are (batch, heads, length, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import decomposes, padded_inputs
from .fused_norm import root_mean_square

_INT64, _BOOL = ir.DataType.INT64, ir.DataType.BOOL


@decomposes("Attention")
def _attention(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Queries, keys and values are one product of the input."""
    x, weights, bias, mask, past, added, shared, *_ = padded_inputs(node, 7)
    if shared is not None or node.attributes.get_int("do_rotary", 0):
        raise ValueError("a cache that past and present share, and rotated queries, have no rule")
    sizes = node.attributes.get_ints("qkv_hidden_sizes", ())
    packed = g.MatMul(x, weights) if bias is None else g.Add(g.MatMul(x, weights), bias)
    parts = (
        g.Split(packed, list(sizes), axis=-1, outputs=3)
        if sizes
        else g.Split(packed, axis=-1, num_outputs=3, outputs=3)
    )
    q, k, v = (_heads(g, part, node.attributes.get_int("num_heads")) for part in parts)
    if past is not None:
        k, v = (g.Concat(g.Gather(past, g.constant(n, _INT64)), new, axis=2) for n, new in enumerate((k, v)))
    y = _attended(g, node, q, k, v, [_padding(g, node, mask, q, k), _causal(g, node, q, k), added])
    return [_joined(g, y), *(g.Concat(*(g.Unsqueeze(x, [0]) for x in (k, v)), axis=0) for _ in node.outputs[1:])]


@decomposes("MultiHeadAttention")
def _multi_head_attention(g: GraphBuilder, node: Any) -> list[ir.Value]:
    *qkv, bias, mask, added, past_key, past_value, length, beams = padded_inputs(node, 10)
    if length is not None or beams is not None:
        raise ValueError("a cache that past and present share has no rule")
    q, k, v = _queries_keys_values(g, qkv, bias, node.attributes.get_int("num_heads"))
    if past_key is not None:
        k, v = g.Concat(past_key, k, axis=2), g.Concat(past_value, v, axis=2)
    y = _attended(g, node, q, k, v, [_padding(g, node, mask, q, k), _causal(g, node, q, k), added])
    return [_joined(g, y), k, v][: len(node.outputs)]


def _queries_keys_values(g: GraphBuilder, qkv: Sequence[Any], bias: Any, heads: int) -> list[ir.Value]:
    """One tensor each, keys packed with values, all packed, or keys and values that are in heads already."""
    q, k, v = qkv
    if k is None or v is None:
        packed = [*g.Split(q, axis=3, num_outputs=3, outputs=3)] if k is None else []
        packed = packed or [q, *g.Split(k, axis=3, num_outputs=2, outputs=2)]
        q, k, v = (g.reshape(x, [0, 0, -1]) for x in packed)
    if bias is not None:
        cut = [g.dim(q, -1)] * 2 + ([g.dim(v, -1)] if g.rank(v) == 3 else [g.dim(q, -1)])
        parts = g.Split(bias, g.vector(cut), outputs=3)
        q, k, v = (g.Add(x, b) if g.rank(x) == 3 else x for x, b in zip((q, k, v), parts, strict=True))
    return [_heads(g, x, heads) if g.rank(x) == 3 else x for x in (q, k, v)]


@decomposes("GroupQueryAttention")
def _group_query_attention(g: GraphBuilder, node: Any) -> list[ir.Value | None]:
    """Masked after its own place: onnxruntime writes the cache in it, so that it stays for the outputs behind it."""
    q, k, v, past_key, past_value, lengths, _, cos, sin, positions, added, sink, _, _, *norms = padded_inputs(node, 16)
    number = node.attributes.get_int
    if sink is not None or number("smooth_softmax", 0) or number("sliding_window_cache", 0):
        raise ValueError("a smooth softmax, and a cache of a sliding window, have no rule")
    q, k, v = _grouped(g, node, q, k, v)
    q, k = (_normed(g, node, x, scale) for x, scale in zip((q, k), norms, strict=True))
    before = _cached(g, q, lengths)
    if number("do_rotary", 0):
        positions = g.Add(g.Unsqueeze(before, [1]), g.counted(q, 2)) if positions is None else positions
        q, k = (_rotated(g, x, positions, cos, sin, bool(number("rotary_interleaved", 0))) for x in (q, k))
    allowed = _allowed(g, node, q, k, past_key, before, g.Cast(g.Reshape(lengths, [-1, 1]), to=_INT64))
    if past_key is not None:
        k, v = g.Concat(past_key, k, axis=2), g.Concat(past_value, v, axis=2)
    k, v = (_repeated(g, x, number("num_heads") // number("kv_num_heads")) for x in (k, v))
    lowest = g.Where(allowed, g.constant(0, q.dtype), _lowest(q))
    return [_joined(g, _attended(g, node, q, k, v, [lowest, added]))]


def _grouped(g: GraphBuilder, node: Any, q: Any, k: Any, v: Any) -> list[ir.Value]:
    """Queries in heads, keys and values in groups, from one tensor each or from all packed."""
    heads, groups = node.attributes.get_int("num_heads"), node.attributes.get_int("kv_num_heads")
    if k is None:
        width = _width(g, q) // (heads + 2 * groups)
        q, k, v = g.Split(q, [heads * width, groups * width, groups * width], axis=-1, outputs=3)
    return [_heads(g, q, heads), _heads(g, k, groups), _heads(g, v, groups)]


def _normed(g: GraphBuilder, node: Any, x: ir.Value, scale: ir.Value | None) -> ir.Value:
    epsilon = node.attributes.get_float("qk_norm_epsilon", 1e-6)
    return x if scale is None else root_mean_square(g, x, scale, epsilon)[0]


def _cached(g: GraphBuilder, q: ir.Value, lengths: ir.Value) -> ir.Value:
    """How many keys were there before: (batch); lengths are those of all keys less one."""
    new = g.Sub(g.Cast(g.Reshape(lengths, [-1]), to=_INT64), g.Sub(g.Shape(q, start=2, end=3), 1))
    return g.Max(new, 0)


def _allowed(
    g: GraphBuilder, node: Any, q: ir.Value, k: ir.Value, past: Any, before: ir.Value, last: ir.Value
) -> ir.Value:
    """Which keys a query sees: (batch, 1, queries, keys), by their positions in the whole sequence, up to the last."""
    cached, new = g.Unsqueeze(before, [1]), g.Add(g.Unsqueeze(before, [1]), g.counted(k, 2))
    query = g.Unsqueeze(g.Add(cached, g.counted(q, 2)), [1, 3])
    key, there = new, g.LessOrEqual(new, last)
    if past is not None:
        old = g.Expand(
            g.Unsqueeze(g.counted(past, 2), [0]), g.Concat(g.Shape(before), g.Shape(past, start=2, end=3), axis=0)
        )
        key = g.Concat(old, new, axis=1)
        there = g.Concat(g.Less(old, cached), there, axis=1)
    key, there = g.Unsqueeze(key, [1, 2]), g.Unsqueeze(there, [1, 2])
    window = node.attributes.get_int("local_window_size", -1)
    if not node.attributes.get_int("causal", 1):
        return there
    seen = g.And(there, g.LessOrEqual(key, query))
    return seen if window < 0 else g.And(seen, g.Greater(key, g.Sub(query, window)))


def _repeated(g: GraphBuilder, x: ir.Value, times: int) -> ir.Value:
    """Each head as many times as there are queries to a key."""
    if times == 1:
        return x
    wide = g.Expand(g.Unsqueeze(x, [2]), [1, 1, times, 1, 1])
    batch, length = g.dim(x, 0), g.dim(x, 2)
    return g.reshape(wide, [batch, _width(g, x, 1) * times, length, _width(g, x)])


@decomposes("RotaryEmbedding")
def _rotary_embedding(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, positions, cos, sin = node.inputs
    number = node.attributes.get_int
    if number("is_packed_batching", 0):
        raise ValueError("packed batches have no rule")
    flat, partial = g.rank(x) == 3, number("rotary_embedding_dim", 0)
    count = number("num_heads") if partial else _width(g, x) // (2 * _width(g, cos))
    heads = _heads(g, x, count) if flat else x
    if g.rank(positions) == 1:  # where the first word stands
        positions = g.Unsqueeze(g.Add(g.Cast(positions, to=_INT64), g.counted(heads, 2)), [0])
    turned = _rotated(g, heads, positions, cos, sin, bool(number("interleaved", 0)))
    return [_joined(g, turned) if flat else turned]


def _rotated(g: GraphBuilder, x: ir.Value, positions: ir.Value, cos: ir.Value, sin: ir.Value, pairs: bool) -> ir.Value:
    """Each pair of numbers as a point that is turned; pairs are neighbours, or one of either half."""
    half = _width(g, cos)
    rest = _width(g, x) - 2 * half
    turned, kept = g.Split(x, [2 * half, rest], axis=-1, outputs=2) if rest else (x, None)
    c, s = (g.Unsqueeze(g.Gather(table, g.Cast(positions, to=_INT64)), [1]) for table in (cos, sin))
    axis = -1 if pairs else -2
    apart = g.Reshape(turned, [0, 0, 0, half, 2] if pairs else [0, 0, 0, 2, half])
    a, b = (g.Squeeze(part, [axis]) for part in g.Split(apart, axis=axis, num_outputs=2, outputs=2))
    both = (g.Sub(g.Mul(c, a), g.Mul(s, b)), g.Add(g.Mul(s, a), g.Mul(c, b)))
    y = g.reshape_like(g.Concat(*(g.Unsqueeze(part, [axis]) for part in both), axis=axis), turned)
    return y if kept is None else g.Concat(y, kept, axis=-1)


def _width(g: GraphBuilder, x: ir.Value, axis: int = -1) -> int:
    width = g.dim(x, axis)
    if not isinstance(width, int):
        raise ValueError(f"axis {axis} of {x.name!r} must be of a length that is known before the model runs")
    return width


def _heads(g: GraphBuilder, x: ir.Value, heads: int) -> ir.Value:
    """(batch, length, hidden) to (batch, heads, length, width)."""
    return g.Transpose(g.Reshape(x, [0, 0, heads, _width(g, x) // heads]), perm=[0, 2, 1, 3])


def _joined(g: GraphBuilder, y: ir.Value) -> ir.Value:
    """(batch, heads, length, width) to (batch, length, hidden)."""
    return g.Reshape(g.Transpose(y, perm=[0, 2, 1, 3]), [0, 0, _width(g, y, 1) * _width(g, y)])


def _attended(g: GraphBuilder, node: Any, q: ir.Value, k: ir.Value, v: ir.Value, terms: Sequence[Any]) -> ir.Value:
    """softmax(scale Q K^T + terms) V; a soft cap squeezes the scores before the terms are added."""
    scale = node.attributes.get_float("scale", 0.0) or 1 / math.sqrt(_width(g, q))
    cap = node.attributes.get_float("softcap", 0.0)
    scores = g.Mul(scale, g.MatMul(q, g.swap_last(k)))
    scores = g.Mul(cap, g.Tanh(g.Div(scores, cap))) if cap else scores
    for term in terms:
        scores = scores if term is None else g.Add(scores, term)
    return g.MatMul(g.Softmax(scores, axis=-1), v)


def _lowest(x: ir.Value) -> float:
    return float(np.finfo(x.dtype.numpy()).min) / 2 if x.dtype is not None else -1e38


def _causal(g: GraphBuilder, node: Any, q: ir.Value, k: ir.Value) -> ir.Value | None:
    """The number added to the scores of keys behind the query; the last query sees all keys."""
    if not node.attributes.get_int("unidirectional", 0):
        return None
    cached = g.Sub(g.Shape(k, start=2, end=3), g.Shape(q, start=2, end=3))
    behind = g.Greater(g.counted(k, 2), g.Unsqueeze(g.Add(cached, g.counted(q, 2)), [1]))
    return g.Where(behind, _lowest(q), g.constant(0, q.dtype))


def _padding(g: GraphBuilder, node: Any, mask: Any, q: ir.Value, k: ir.Value) -> ir.Value | None:
    """The number added to the scores of keys that a mask leaves out.

    The mask is (batch, keys), (batch, queries, keys) or (batch, 1, longest, longest) of 0 and 1, or the end of every
    row, with or without its beginnings behind all of these.
    """
    if mask is None:
        return None
    rank = g.rank(mask)
    if rank == 1:
        kept = _between(g, mask, q, k)
    else:
        kept = g.Cast(mask if rank == 4 else g.Unsqueeze(mask, [1, 2] if rank == 2 else [1]), to=_BOOL)
    if rank == 4:
        many, new = g.Shape(k, start=2, end=3), g.Shape(q, start=2, end=3)
        kept = g.Slice(kept, g.Concat(g.Sub(many, new), [0], axis=0), g.Concat(many, many, axis=0), [2, 3])
    return g.Where(kept, g.constant(0, q.dtype), node.attributes.get_float("mask_filter_value", -1e4))


def _between(g: GraphBuilder, ends: ir.Value, q: ir.Value, k: ir.Value) -> ir.Value:
    """(batch, 1, 1, keys): keys before the end of their row, and from its beginning on."""
    rows, many, batch = g.dim(q, 0), g.dim(ends, 0), g.Shape(q, start=0, end=1)
    if isinstance(rows, int) and isinstance(many, int) and many not in (rows, 2 * rows):
        raise ValueError(f"a mask of {many} numbers for {rows} rows has no rule")
    bounds = g.Concat(g.Cast(ends, to=_INT64), g.Expand(g.constant(0, _INT64), batch), axis=0)
    end, start = (g.Unsqueeze(g.Slice(bounds, low, high, [0]), [1, 2, 3]) for low, high in
                  ((g.vector([0]), batch), (batch, g.Mul(batch, 2))))  # fmt: skip
    key = g.counted(k, 2)
    return g.And(g.Less(key, end), g.GreaterOrEqual(key, start))
