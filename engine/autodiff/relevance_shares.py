"""Shares of a relevance by what a layer adds up: the step that the rules of LRP for layers of weights have in common.

The sum that a share is divided by is kept away from zero by ``STABILISER``, with sign(0) = +1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import static_shape
from .layers import LinearLayer
from .signs import STEEP, negative_part, never_negative, positive_part, takes_steps, where_negative

__all__ = ["STABILISER", "share", "stable"]

STABILISER = 1e-6
_COLOURS, _FEW = 4, 64  # channels
_BLOCK = 16  # likewise, of onnxruntime's blocked layout, or two of its blocks


def share(
    g: GraphBuilder,
    layer: LinearLayer,
    relevance: ir.Value,
    above: ir.Value,
    below: ir.Value,
    b: ir.Value | None,
    sign: int = 0,
) -> ir.Value:
    """The gradient in x by weights ``above`` for positive and ``below`` for negative x; ``sign`` is that of the sum.

    Where it is known, the bias is moved in the place of every sum; where it is 1, ``above`` are the positive weights.
    """
    x, moved = layer.x, b is not None and sign != 0
    b = g.Add(b, sign * STABILISER) if moved else b

    def part_of(z: ir.Value) -> ir.Value:
        return g.Div(relevance, _after(g, z) if moved else stable(g, z, sign=sign))

    if never_negative(x):
        return layer.adjoint(g, x, above, part_of(layer.forward(g, x, above, b)))
    if _in_blocks(g, layer):
        return _by_one_image(g, layer, lambda both, w: part_of(layer.forward(g, both, w, b)), above, below)
    above_zero, below_zero = positive_part(g, x), negative_part(g, x)
    if _takes_one(g, layer):
        w, both = g.Concat(above, below, axis=1), g.Concat(above_zero, below_zero, axis=1)
        twice = _twice_the_sum(g, layer) if moved and sign > 0 else None
        part = part_of(layer.forward(g, both, w, b) if twice is None else twice)
        found = layer.adjoint(g, both, w if twice is None else g.Mul(w, 2), part)
        of_positive, of_negative = g.Split(found, axis=1, num_outputs=2, outputs=2)
        return where_negative(g, x, of_negative, of_positive)
    part = part_of(g.Add(layer.forward(g, above_zero, above, b), layer.forward(g, below_zero, below)))
    return where_negative(g, x, layer.adjoint(g, x, below, part), layer.adjoint(g, x, above, part))


def _twice_the_sum(g: GraphBuilder, layer: LinearLayer) -> ir.Value | None:
    """Twice what counts for y > 0, W+ x+ + W- x- + b+ = (y + |W| |x| + |b|) / 2, which takes half of the products.

    None where no Relu is behind y. Where y is below 0, the relevance is 0, and this is positive, too.
    """
    w, b = layer.weights(g)
    if layer.rectified is None or b is None:
        return None
    largest = layer.forward(g, g.Abs(layer.x), g.Abs(w), g.Add(g.Abs(b), 2 * STABILISER))
    return g.Add(largest, layer.rectified)


def _after(g: GraphBuilder, z: ir.Value) -> ir.Value:
    """z, computed behind the relevance that it divides: z computed in the forward pass lies in memory until then.

    onnxruntime's CPU takes first the one of two inputs whose node is newer, and makes those that leave the blocked
    layout last, in an order that changes from load to load; a Reshape to the same shape is older, and costs nothing.
    """
    rank = g.rank(z)
    return g.shaped_like(g.Reshape(z, [0] * rank), z) if takes_steps(g, z) and rank == 4 else z


def _takes_one(g: GraphBuilder, layer: LinearLayer) -> bool:
    """Whether one convolution of twice the channels costs less than two, whose sum a runtime's blocked layout has."""
    return _is_whole(layer) and (not takes_steps(g, layer.x) or 0 < _channels(layer) <= _COLOURS)


def _in_blocks(g: GraphBuilder, layer: LinearLayer) -> bool:
    """Whether 1x1 convolutions make one image of both signs, and mask it, for less than another convolution costs."""
    if not _is_whole(layer) or g.rank(layer.y) != 4 or not takes_steps(g, layer.x):
        return False
    channels = _channels(layer)
    return channels > _COLOURS and (channels % _BLOCK == 0 or channels <= _FEW)


def _is_whole(layer: LinearLayer) -> bool:
    return layer.node.op_type == "Conv" and layer.node.attributes.get_int("group", 1) == 1


def _channels(layer: LinearLayer) -> int:
    """Those that a whole convolution reads; 0 where its weights have open sizes."""
    w: Any = layer.node.inputs[1]
    shape = static_shape(w)
    return 0 if shape is None else shape[1]


def _by_one_image(
    g: GraphBuilder, layer: LinearLayer, part: Callable[..., ir.Value], above: ir.Value, below: ir.Value
) -> ir.Value:
    """The same of max(x, 0) and max(-x, 0) as channels of one image, which 1x1 convolutions make, mask and add up."""
    x, dtype, channels = layer.x, layer.x.dtype, _channels(layer)
    width = _BLOCK if channels % _BLOCK == 0 else channels
    groups, same = channels // width, np.eye(width).reshape(width, width, 1, 1)
    split = np.tile(np.concatenate([same, -same]), (groups, 1, 1, 1))
    edges = np.tile(np.repeat([1 / STEEP, -1 / STEEP], width), groups)  # zeros count as positive
    order = np.arange(2 * channels).reshape(2, groups, width).swapaxes(0, 1).ravel()
    both = g.Relu(g.Conv(x, g.constant(split, dtype), group=groups))
    w = g.Gather(g.Concat(above, g.Neg(below), axis=1), g.constant(order, ir.DataType.INT64), axis=1)
    found = layer.adjoint(g, both, w, part(both, w))
    signed = g.Conv(x, g.constant(split, dtype), g.constant(edges, dtype), group=groups)
    masked = g.Mul(found, g.HardSigmoid(signed, alpha=STEEP, beta=0.0))
    joined = np.tile(np.concatenate([same, -same], axis=1), (groups, 1, 1, 1))
    return g.shaped_like(g.Conv(masked, g.constant(joined, dtype), group=groups), x)


def stable(g: GraphBuilder, z: ir.Value, epsilon: float = STABILISER, sign: int = 0) -> ir.Value:
    """z, moved away from zero; ``sign`` where all of z is known to have one."""
    if sign:
        return g.Add(z, sign * epsilon)
    return g.Add(z, g.Where(g.Less(z, 0), g.constant(-epsilon, z.dtype), g.constant(epsilon, z.dtype)))
