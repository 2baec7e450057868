"""The normalisations of com.microsoft, decomposed: fused with sums, with gates and with embeddings before them."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import decomposes, padded_inputs

__all__ = ["root_mean_square"]

_INT32 = ir.DataType.INT32


@decomposes("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")
def _skip_layer_normalization(g: GraphBuilder, node: Any) -> list[ir.Value | None]:
    """Outputs: the normalised sum, its mean, its 1 / sigma, the sum."""
    simple = node.op_type != "SkipLayerNormalization"
    x, skip, gamma, *rest = padded_inputs(node, 5)
    beta, bias = (None, rest[0]) if simple else rest
    total = g.Add(x, skip) if bias is None else g.Add(g.Add(x, skip), bias)
    epsilon = node.attributes.get_float("epsilon", 1e-12)
    if simple:
        y, inverse = root_mean_square(g, total, gamma, epsilon)
        return [y, None, inverse, total]
    y, mean, inverse = g.LayerNormalization(total, gamma, beta, epsilon=epsilon, axis=-1, outputs=3)
    return [y, mean, inverse, total]


def root_mean_square(
    g: GraphBuilder, x: ir.Value, scale: ir.Value | None, epsilon: float, axes: tuple[int, ...] = (-1,)
) -> tuple[ir.Value, ir.Value]:
    """x over its root mean square along axes, times a scale; and what it was multiplied with."""
    mean = g.ReduceMean(g.Mul(x, x), axes, keepdims=1)
    inverse = g.Reciprocal(g.Sqrt(g.Add(mean, epsilon)))
    y = g.Mul(x, inverse)
    return (y if scale is None else g.Mul(y, scale)), inverse


@decomposes("GatedRMSNorm")
def _gated_rms_norm(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Over every run of as many elements as the scale has, times Silu or the logistic function of a gate."""
    x, scale, gate = node.inputs
    rows = g.reshape(x, [-1, g.dim(scale, 0)])
    y = g.reshape_like(root_mean_square(g, rows, scale, node.attributes.get_float("epsilon", 1e-6))[0], x)
    opened = g.Sigmoid(gate)
    silu = node.attributes.get_string("activation", "silu") in ("silu", "swish")
    return [g.Mul(y, g.Mul(gate, opened) if silu else opened)]


@decomposes("EmbedLayerNormalization")
def _embed_layer_normalization(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Outputs: the normalised sum of the embeddings, how many words each mask leaves, the sum."""
    words, segments, word, position, segment, gamma, beta, mask, positions = padded_inputs(node, 9)
    if positions is None:
        positions = g.counted(words, 1)
    total = g.Add(g.Gather(word, words), g.Gather(position, positions))
    if segment is not None and segments is not None:
        total = g.Add(total, g.Gather(segment, segments))
    y = g.LayerNormalization(total, gamma, beta, epsilon=node.attributes.get_float("epsilon", 1e-12), axis=-1)
    if mask is None:
        kept = g.Expand(g.constant(0, _INT32), g.Shape(words, start=0, end=1))
    else:
        kept = g.ReduceSum(g.Cast(mask, to=_INT32), [1], keepdims=0)
    return [y, kept, total]


@decomposes("GroupNorm", "SkipGroupNorm")
def _group_norm(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Wu and He, 2018, arXiv:1803.08494, of channels that are last as a rule, with Silu behind it where it is said."""
    x, gamma, beta, skip, bias = padded_inputs(node, 5)
    number = node.attributes.get_int
    last, groups = number("channels_last", 1), number("groups")
    if skip is not None:
        x = g.Add(x, g.Unsqueeze(skip, [1, 2]) if g.rank(skip) == 2 else skip)
        x = x if bias is None else g.Add(x, bias)
    total = x
    x = g.Transpose(x, perm=[0, 3, 1, 2]) if last else x
    rows = g.Reshape(x, [0, groups, -1])
    apart = g.Sub(rows, g.ReduceMean(rows, [2], keepdims=1))
    unit = root_mean_square(g, apart, None, node.attributes.get_float("epsilon", 1e-5))[0]
    scale, shift = (g.CastLike(g.Reshape(v, [-1, 1, 1]), x) for v in (gamma, beta))
    y = g.Add(g.Mul(g.reshape_like(unit, x), scale), shift)
    y = g.Mul(y, g.Sigmoid(y)) if number("activation", 0) else y
    return [g.Transpose(y, perm=[0, 2, 3, 1]) if last else y, total][: len(node.outputs)]
