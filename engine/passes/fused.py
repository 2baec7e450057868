"""Replaces the fused operators of com.microsoft, which onnxruntime's optimiser writes, by those they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx_ir as ir

from ..graph import GraphBuilder
from .respell import replace

__all__ = ["spell_fused"]

Spell = Callable[[GraphBuilder, Any], Sequence[ir.Value | None]]
_SPELLS: dict[str, Spell] = {}


def spell_fused(program: ir.Model, nodes: Iterable[ir.Node]) -> bool:
    """Works in place; true where there was one."""
    found = [node for node in nodes if node.domain == "com.microsoft" and node.op_type in _SPELLS]
    return replace(program, found, lambda g, node: _SPELLS[node.op_type](g, node))


def _spells(*ops: str) -> Callable[[Spell], Spell]:
    def register(function: Spell) -> Spell:
        _SPELLS.update(dict.fromkeys(ops, function))
        return function

    return register


def _inputs(node: Any, count: int) -> list[Any]:
    """The inputs, None for those that are left out."""
    return [*node.inputs, *[None] * count][:count]


@_spells("Gelu", "BiasGelu")
def _gelu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, bias = _inputs(node, 2)
    x = x if bias is None else g.Add(x, bias)
    return [g.Mul(x, g.Mul(0.5, g.Add(1, g.Erf(g.Mul(x, math.sqrt(0.5))))))]


@_spells("FastGelu")
def _fast_gelu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, bias = _inputs(node, 2)
    x = x if bias is None else g.Add(x, bias)
    inner = g.Mul(math.sqrt(2 / math.pi), g.Mul(x, g.Add(1, g.Mul(0.044715, g.Mul(x, x)))))
    return [g.Mul(x, g.Mul(0.5, g.Add(1, g.Tanh(inner))))]


@_spells("QuickGelu")
def _quick_gelu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    (x,) = node.inputs
    return [g.Mul(x, g.Sigmoid(g.Mul(node.attributes.get_float("alpha", 1.702), x)))]


@_spells("FusedMatMul")
def _fused_matmul(g: GraphBuilder, node: Any) -> list[ir.Value]:
    if node.attributes.get_int("transBatchA", 0) or node.attributes.get_int("transBatchB", 0):
        raise ValueError("FusedMatMul with transposed batches has no rule")
    a, b = (
        g.swap_last(x) if node.attributes.get_int(f"trans{k}", 0) else x for x, k in zip(node.inputs, "AB", strict=True)
    )
    alpha = node.attributes.get_float("alpha", 1.0)
    return [g.MatMul(a, b) if alpha == 1 else g.Mul(alpha, g.MatMul(a, b))]


@_spells("FusedGemm")
def _fused_gemm(g: GraphBuilder, node: Any) -> list[ir.Value]:
    attributes = node.attributes
    numbers = {name: attributes.get_float(name, 1.0) for name in ("alpha", "beta")}
    turns = {name: attributes.get_int(name, 0) for name in ("transA", "transB")}
    y = g.Gemm(*node.inputs, **numbers, **turns)
    names = [name for name in ("activation_alpha", "activation_beta", "activation_gamma") if name in attributes]
    return [_activated(g, y, attributes.get_string("activation", ""), [attributes.get_float(name) for name in names])]


@_spells("FusedConv")
def _fused_conv(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, w, bias, other = _inputs(node, 4)
    fused = ("activation", "activation_params")
    plain = {name: a.value for name, a in node.attributes.items() if name not in fused}
    y = g.Conv(x, w, bias, **plain)
    y = y if other is None else g.Add(y, other)
    return [
        _activated(
            g, y, node.attributes.get_string("activation", ""), node.attributes.get_floats("activation_params", ())
        )
    ]


def _activated(g: GraphBuilder, x: ir.Value, name: str, numbers: Sequence[float]) -> ir.Value:
    """An activation by name; its numbers are those of its attributes in their order, or the ends of a Clip."""
    if not name:
        return x
    if name == "Clip":
        return g.Clip(x, *numbers)
    names = {"LeakyRelu": ("alpha",), "Elu": ("alpha",), "HardSigmoid": ("alpha", "beta")}.get(name, ())
    return getattr(g, name)(x, **dict(zip(names, numbers, strict=False)))


@_spells("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")
def _skip_layer_normalization(g: GraphBuilder, node: Any) -> list[ir.Value | None]:
    """Outputs: the normalised sum, its mean, its 1 / sigma, the sum."""
    simple = node.op_type != "SkipLayerNormalization"
    x, skip, gamma, *rest = _inputs(node, 5)
    beta, bias = (None, rest[0]) if simple else rest
    total = g.Add(x, skip) if bias is None else g.Add(g.Add(x, skip), bias)
    epsilon = node.attributes.get_float("epsilon", 1e-12 if not simple else 1e-5)
    if simple:
        return [_root_mean_square(g, total, gamma, epsilon), None, None, total]
    y, mean, inverse = g.LayerNormalization(total, gamma, beta, epsilon=epsilon, axis=-1, outputs=3)
    return [y, mean, inverse, total]


def _root_mean_square(g: GraphBuilder, x: ir.Value, scale: ir.Value, epsilon: float) -> ir.Value:
    mean = g.ReduceMean(g.Mul(x, x), [-1], keepdims=1)
    return g.Mul(g.Div(x, g.Sqrt(g.Add(mean, epsilon))), scale)


@_spells("MultiHeadAttention")
def _multi_head_attention(g: GraphBuilder, node: Any) -> list[ir.Value]:
    query, key, value, bias, mask, added, past, *_ = _inputs(node, 8)
    if key is None or value is None or g.rank(key) != 3 or past is not None:
        raise ValueError("packed or cached keys and values have no rule yet")
    if bias is not None:
        sizes = g.vector([g.dim(v, -1) for v in (query, key, value)])
        query, key, value = (
            g.Add(v, b) for v, b in zip((query, key, value), g.Split(bias, sizes, outputs=3), strict=True)
        )
    return [_attended(g, node, query, key, value, _key_mask(g, mask, query.dtype), added)]


@_spells("Attention")
def _attention(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Queries, keys and values are one product of the input."""
    x, weights, bias, mask, past, added, *_ = _inputs(node, 7)
    if past is not None or node.attributes.get_int("unidirectional", 0):
        raise ValueError("cached keys and causal masks have no rule yet")
    sizes = node.attributes.get_ints("qkv_hidden_sizes", ())
    packed = g.MatMul(x, weights) if bias is None else g.Add(g.MatMul(x, weights), bias)
    parts = (
        g.Split(packed, list(sizes), axis=-1, outputs=3)
        if sizes
        else g.Split(packed, axis=-1, num_outputs=3, outputs=3)
    )
    q, k, v = parts
    return [_attended(g, node, q, k, v, _key_mask(g, mask, x.dtype), added)]


def _attended(
    g: GraphBuilder, node: Any, query: ir.Value, key: ir.Value, value: ir.Value, mask: Any, added: Any
) -> ir.Value:
    """softmax(Q K^T / sqrt(d) + mask) V of (batch, length, hidden), head by head."""
    heads = node.attributes.get_int("num_heads")
    q, k, v = (g.Transpose(g.Reshape(x, [0, 0, heads, -1]), perm=[0, 2, 1, 3]) for x in (query, key, value))
    width = g.dim(query, -1)
    if not isinstance(width, int):
        raise ValueError("the width of the queries must be known before the model runs")
    scale = node.attributes.get_float("scale", 0.0) or 1 / math.sqrt(width // heads)
    scores = g.Mul(scale, g.MatMul(q, g.swap_last(k)))
    for term in (mask, added):
        scores = scores if term is None else g.Add(scores, term)
    mixed = g.MatMul(g.Softmax(scores, axis=-1), v)
    return g.reshape(g.Transpose(mixed, perm=[0, 2, 1, 3]), [0, 0, -1])


def _key_mask(g: GraphBuilder, mask: Any, dtype: Any) -> ir.Value | None:
    """What is added to the scores of keys that a (batch, keys) mask of 0 and 1 leaves out."""
    if mask is None:
        return None
    if mask.shape is None or len(mask.shape) != 2:
        raise ValueError("only masks of (batch, keys) have a rule")
    kept = g.Cast(g.Cast(mask, to=ir.DataType.BOOL), to=dtype)
    return g.Unsqueeze(g.Mul(g.Sub(1, kept), -1e4), [1, 2])
