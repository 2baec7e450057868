"""Normalisations: by stored statistics, by those of the input, and by a norm.

With u = (x - mean) / sigma over some axes and du the gradient with respect to u, that with respect to x is
(du - mean(du) - u mean(du u)) / sigma (Ioffe and Szegedy, 2015, arXiv:1502.03167). Statistics of half-precision
inputs are taken in float32, as the standard's stash_type has it.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp
from .scatter import zeros
from .zeros import divided

_HALF = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@vjp("BatchNormalization")
def batch_normalization(g: GraphBuilder, node: Node, *dys: ir.Value | None) -> Gradients:
    """By stored statistics an affine function per channel, so that dx is one product with a constant."""
    (x, *_), rank, dy = node.inputs, g.rank(node.inputs[0]), dys[0]
    if node.attributes.get_int("training_mode", 0):
        return _trained(g, node, *dys)
    if dy is None:
        return None
    wide_x, scale, _, mean, variance = (_in_float32(g, value) for value in node.inputs)
    inverse = g.Reciprocal(g.Sqrt(g.Add(variance, _epsilon(node))))
    slope = g.Mul(scale, inverse)
    dx = g.Mul(dy, _cast_like(g, _column(g, slope, rank), x))
    wide_dy = _in_float32(g, dy)
    dbias = _channel_sum(g, wide_dy)
    dscale = g.Mul(inverse, _channel_sum(g, g.Mul(wide_dy, g.Sub(wide_x, _column(g, mean, rank)))))
    found = dscale, dbias, g.Neg(g.Mul(dbias, slope)), g.Mul(-0.5, slope, inverse, dscale)
    return dx, *(_cast_like(g, d, value) for d, value in zip(found, node.inputs[1:], strict=True))


def _trained(g: GraphBuilder, node: Node, *dys: ir.Value | None) -> Gradients:
    """By the statistics of the batch, which also enter the running ones, so much as momentum leaves."""
    (x, *_), axes = node.inputs, [0, *range(2, g.rank(node.inputs[0]))]
    dy, d_mean, d_variance = (*dys, None, None)[:3]
    found = [None] * 3 if dy is None else list(_per_channel(g, node, dy, axes))
    kept = node.attributes.get_float("momentum", 0.9)
    wide, parts = _in_float32(g, x), [found[0]] if found[0] is not None else []
    if d_mean is not None:
        parts.append(_share(g, _column(g, _in_float32(g, g.Mul(d_mean, 1 - kept)), g.rank(x)), wide, axes))
    if d_variance is not None:
        spread = g.Mul(2 * (1 - kept), g.Sub(wide, _mean(g, wide, axes)))
        parts.append(g.Mul(spread, _share(g, _column(g, _in_float32(g, d_variance), g.rank(x)), wide, axes)))
    dx = g.Add(*(_cast_like(g, part, x) for part in parts))
    running = [None if d is None else g.Mul(d, kept) for d in (d_mean, d_variance)]
    return dx, *found[1:], *running


@vjp("InstanceNormalization")
def instance_normalization(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return _per_channel(g, node, dy, axes=list(range(2, g.rank(node.inputs[0]))))


def _per_channel(g: GraphBuilder, node: Node, dy: ir.Value, axes: list[int]) -> tuple[ir.Value, ...]:
    """The gradients of a normalisation over some axes, with a scale and a bias per channel."""
    x, rank, wide_dy = node.inputs[0], g.rank(node.inputs[0]), _in_float32(g, dy)
    u, inverse = _standardised(g, _in_float32(g, x), axes, _epsilon(node))
    du = g.Mul(wide_dy, _column(g, _in_float32(g, node.inputs[1]), rank))
    found = _through(g, u, inverse, du, axes), _channel_sum(g, g.Mul(wide_dy, u)), _channel_sum(g, wide_dy)
    return tuple(_cast_like(g, d, value) for d, value in zip(found, node.inputs, strict=False))


@vjp("GroupNormalization")
def group_normalization(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Instance normalisation of groups as rows; scale and bias are per group before opset 21 and per channel since."""
    (x, scale, _), groups = node.inputs, node.attributes.get_int("num_groups")
    rows = [0, groups, -1]
    wide_dy = g.Reshape(_in_float32(g, dy), [0, 0, -1] if g.opset >= 21 else rows)
    u, inverse = _standardised(g, g.Reshape(_in_float32(g, x), rows), [2], _epsilon(node))
    du = g.Reshape(g.Mul(wide_dy, _column(g, _in_float32(g, scale), 3)), rows)
    dx = g.reshape_like(_through(g, u, inverse, du, [2]), x)
    dscale = _channel_sum(g, g.Mul(wide_dy, g.reshape_like(u, wide_dy)))
    found = dx, dscale, _channel_sum(g, wide_dy)
    return [_cast_like(g, d, value) for d, value in zip(found, node.inputs, strict=True)]


@vjp("LayerNormalization")
def layer_normalization(g: GraphBuilder, node: Node, *dys: ir.Value | None) -> Gradients:
    """The mean's derivative in x is 1 / n, that of 1 / sigma -u / (n sigma^2)."""
    (x, scale), bias = node.inputs[:2], node.inputs[2] if len(node.inputs) > 2 else None
    (dy, d_mean, d_inverse), axes, wide_x = (*dys, None, None)[:3], _trailing(g, node), _in_float32(g, x)
    u, inverse = _standardised(g, wide_x, axes, _epsilon(node))
    wide_dy = zeros(g, wide_x, wide_x) if dy is None else _in_float32(g, dy)
    dx = _through(g, u, inverse, g.Mul(wide_dy, _in_float32(g, scale)), axes)
    if d_mean is not None:
        dx = g.Add(dx, _share(g, _cast_like(g, d_mean, wide_x), wide_x, axes))
    if d_inverse is not None:
        slope = g.Mul(g.Mul(inverse, inverse), u)
        dx = g.Sub(dx, g.Mul(_share(g, _cast_like(g, d_inverse, wide_x), wide_x, axes), slope))
    dscale = _cast_like(g, g.sum_to(g.Mul(wide_dy, u), scale), scale)
    return _cast_like(g, dx, x), dscale, None if bias is None else _cast_like(g, g.sum_to(wide_dy, bias), bias)


@vjp("RMSNormalization")
def rms_normalization(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """As layer normalisation without the mean (Zhang and Sennrich, 2019, arXiv:1910.07467)."""
    x, scale = node.inputs
    axes, wide_dy, wide_x = _trailing(g, node), _in_float32(g, dy), _in_float32(g, x)
    inverse = _inverse_root(g, wide_x, axes, _epsilon(node))
    u, du = g.Mul(wide_x, inverse), g.Mul(wide_dy, _in_float32(g, scale))
    dx = g.Mul(inverse, g.Sub(du, g.Mul(u, _mean(g, g.Mul(du, u), axes))))
    return _cast_like(g, dx, x), _cast_like(g, g.sum_to(g.Mul(wide_dy, u), scale), scale)


@vjp("MeanVarianceNormalization")
def mean_variance_normalization(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The standard adds 1e-9 to sigma, hence its square to the variance."""
    (x,) = node.inputs
    axes = list(node.attributes.get_ints("axes", (0, 2, 3)))
    u, inverse = _standardised(g, _in_float32(g, x), axes, 1e-18)
    return _cast_like(g, _through(g, u, inverse, _in_float32(g, dy), axes), x)


@vjp("LRN")
def lrn(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y = x s^-beta with s = bias + alpha mean(x^2), the mean over a window of channels.

    So dx = dy s^-beta - 2 alpha beta x mean'(dy y / s), where mean' has the window mirrored.
    """
    (x,), (y,), attributes = node.inputs, node.outputs, node.attributes
    size, alpha, beta = (
        attributes.get_int("size"),
        attributes.get_float("alpha", 1e-4),
        attributes.get_float("beta", 0.75),
    )
    before, after = (size - 1) // 2, size // 2
    s = g.Add(attributes.get_float("bias", 1.0), g.Mul(alpha, _channel_mean(g, g.Mul(x, x), before, after)))
    spread = _channel_mean(g, g.Div(g.Mul(dy, y), s), after, before)
    return g.Sub(g.Mul(dy, g.Pow(s, -beta)), g.Mul(2 * alpha * beta, x, spread))


def _channel_mean(g: GraphBuilder, x: ir.Value, before: int, after: int) -> ir.Value:
    """Means over windows of channels that reach so far before and after; what lies outside counts as 0.

    AveragePool takes no bfloat16 before opset 22.
    """
    brief = x.dtype == ir.DataType.BFLOAT16
    image = g.Unsqueeze(g.Reshape(g.Cast(x, to=ir.DataType.FLOAT) if brief else x, [0, 0, -1]), [1])
    kernel, pads = [before + 1 + after, 1], [before, 0, after, 0]
    mean = g.reshape_like(g.AveragePool(image, kernel_shape=kernel, pads=pads, count_include_pad=1), x)
    return g.Cast(mean, to=x.dtype) if brief else mean


@vjp("LpNormalization")
def lp_normalization(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y = x / n, so dx = (dy - n'(x) <dy, y>) / n with n' = sign(x) or y; 0 where n is, as y is there."""
    (x,), (y,), axis = node.inputs, node.outputs, node.attributes.get_int("axis", -1)
    manhattan = node.attributes.get_int("p", 2) == 1
    norm = (g.ReduceL1 if manhattan else g.ReduceL2)(x, [axis], keepdims=1)
    along = g.ReduceSum(g.Mul(dy, y), [axis], keepdims=1)
    across = g.Sub(dy, g.Mul(g.Sign(x) if manhattan else y, along))
    return divided(g, across, norm)


def _standardised(g: GraphBuilder, x: ir.Value, axes: list[int], epsilon: float) -> tuple[ir.Value, ir.Value]:
    """u = (x - mean) / sigma, and 1 / sigma."""
    centred = g.Sub(x, _mean(g, x, axes))
    inverse = _inverse_root(g, centred, axes, epsilon)
    return g.Mul(centred, inverse), inverse


def _inverse_root(g: GraphBuilder, x: ir.Value, axes: list[int], epsilon: float) -> ir.Value:
    """1 / sqrt(mean(x^2) + epsilon)."""
    return g.Reciprocal(g.Sqrt(g.Add(_mean(g, g.Mul(x, x), axes), epsilon)))


def _through(g: GraphBuilder, u: ir.Value, inverse: ir.Value, du: ir.Value, axes: list[int]) -> ir.Value:
    """(du - mean(du) - u mean(du u)) / sigma."""
    along = g.Mul(u, _mean(g, g.Mul(du, u), axes))
    return g.Mul(inverse, g.Sub(g.Sub(du, _mean(g, du, axes)), along))


def _share(g: GraphBuilder, value: ir.Value, x: ir.Value, axes: list[int]) -> ir.Value:
    """The adjoint of the mean over axes of x."""
    sizes = [g.dim(x, axis) for axis in axes]
    known = [n for n in sizes if isinstance(n, int)]
    if len(known) == len(sizes):
        return g.Div(value, math.prod(known))
    return g.Div(value, g.CastLike(g.ReduceProd(g.vector(sizes), keepdims=0), value))


def _mean(g: GraphBuilder, x: ir.Value, axes: list[int]) -> ir.Value:
    return g.ReduceMean(x, axes, keepdims=1)


def _channel_sum(g: GraphBuilder, x: ir.Value) -> ir.Value:
    return g.ReduceSum(x, [0, *range(2, g.rank(x))], keepdims=0)


def _column(g: GraphBuilder, channels: ir.Value, rank: int) -> ir.Value:
    """A vector of channels, broadcastable against (N, C, ...)."""
    return g.Reshape(channels, [-1, *[1] * (rank - 2)])


def _trailing(g: GraphBuilder, node: Node) -> list[int]:
    rank = g.rank(node.inputs[0])
    return list(range(node.attributes.get_int("axis", -1) % rank, rank))


def _epsilon(node: Node) -> float:
    return node.attributes.get_float("epsilon", 1e-5)


def _in_float32(g: GraphBuilder, value: ir.Value) -> ir.Value:
    return g.Cast(value, to=ir.DataType.FLOAT) if value.dtype in _HALF else value


def _cast_like(g: GraphBuilder, value: ir.Value, like: ir.Value) -> ir.Value:
    return value if value.dtype == like.dtype else g.Cast(value, to=like.dtype)
