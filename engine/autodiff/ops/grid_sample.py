"""GridSample, with respect to the image and to where it is read, and AffineGrid, which makes the places.

Every output is a weighted sum of a few elements of the image, its taps: along each axis 1 (nearest), 2 (linear) or 4
(cubic) of them. Tensors of taps are (N, P, T): P places per example, T taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp
from .scatter import add_at, sizes

_CUBIC_A = -0.75


@dataclass(frozen=True)
class _Taps:
    """Along one axis: which elements are read, their weights, and what a step of the grid makes of the weights."""

    index: ir.Value
    weight: ir.Value
    slope: ir.Value


@vjp("GridSample")
def grid_sample(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, grid = node.inputs
    n, c, *space = sizes(g, x)
    axes = [_taps(g, node, _axis_of(g, grid, len(space) - 1 - k), g.dim(x, k + 2)) for k in range(len(space))]
    image = g.reshape(x, [n, c, -1])
    flat_dy = g.reshape(dy, [n, c, -1])
    at = _together(g, [_strided(g, taps.index, space[k + 1 :]) for k, taps in enumerate(axes)], g.Add)
    places, shape = g.Reshape(at, [0, 1, -1]), g.Shape(at)
    every = g.Expand(places, g.Concat(g.vector([1, c]), g.constant([1], ir.DataType.INT64), axis=0))
    spread = g.Mul(g.Unsqueeze(flat_dy, [3]), g.Unsqueeze(_together(g, [t.weight for t in axes], g.Mul), [1]))
    dx = add_at(g, g.shape(image), every, g.Reshape(spread, g.Shape(every)), axis=2)
    read = g.Reshape(g.GatherElements(image, every, axis=2), g.Concat(g.vector([n, c]), g.Shape(at, start=1), axis=0))
    pull = g.Reshape(g.ReduceSum(g.Mul(g.Unsqueeze(flat_dy, [3]), read), [1], keepdims=0), shape)
    steps = [
        _together(g, [t.slope if j == k else t.weight for j, t in enumerate(axes)], g.Mul) for k in range(len(axes))
    ]
    found = [g.ReduceSum(g.Mul(pull, step), [2], keepdims=1) for step in steps[::-1]]
    return g.reshape_like(dx, x), g.reshape_like(g.Concat(*found, axis=2), grid)


def _axis_of(g: GraphBuilder, grid: ir.Value, k: int) -> ir.Value:
    """One coordinate of every place: (N, P, 1)."""
    return g.Reshape(g.Gather(grid, [k], axis=-1), [0, -1, 1])


def _strided(g: GraphBuilder, index: ir.Value, behind: Sequence[int | ir.Value]) -> ir.Value:
    """The part of an index along an axis in the index into the flattened image."""
    return index if not behind else g.Mul(index, g.ReduceProd(g.vector(behind), keepdims=0))


def _together(g: GraphBuilder, parts: Sequence[ir.Value], join) -> ir.Value:
    """Every combination of the taps of all axes: (N, P, T) each to (N, P, T ** axes)."""
    ranks = len(parts)
    wide = [g.Unsqueeze(p, [2 + j for j in range(ranks) if j != k]) if ranks > 1 else p for k, p in enumerate(parts)]
    return g.Reshape(reduce(join, wide), [0, 0, -1])


def _taps(g: GraphBuilder, node: Node, grid: ir.Value, size: int | ir.Value) -> _Taps:
    """The taps along an axis, from coordinates between -1 and 1."""
    mode = node.attributes.get_string("mode", "linear").removeprefix("bi")
    padding, align = node.attributes.get_string("padding_mode", "zeros"), node.attributes.get_int("align_corners", 0)
    length = g.constant(size, grid.dtype) if isinstance(size, int) else g.Reshape(g.Cast(size, to=grid.dtype), [])
    last = g.Sub(length, 1)
    half = g.Mul(0.5, last if align else length)
    t = g.Sub(g.Mul(g.Add(grid, 1), half), 0 if align else 0.5)
    slope = g.Expand(half, g.Shape(t))
    if mode != "cubic" and padding != "zeros":
        t, slope = _folded(g, t, slope, last, padding == "reflection", bool(align))
    if mode == "nearest":
        return _settled(g, g.Round(t), g.Expand(g.constant(1, t.dtype), g.Shape(t)), g.Mul(slope, 0), last)
    first = g.Floor(t)
    offsets = np.arange(2) if mode == "linear" else np.arange(-1, 3)
    weight, change = (_linear if mode == "linear" else _cubic)(g, g.Sub(t, first))
    index = g.Add(first, g.constant(offsets, t.dtype))
    if mode == "cubic" and padding != "zeros":
        index = _folded(g, index, index, last, padding == "reflection", bool(align))[0]
    return _settled(g, index, weight, g.Mul(change, slope), last)


def _settled(g: GraphBuilder, index: ir.Value, weight: ir.Value, slope: ir.Value, last: ir.Value) -> _Taps:
    """Taps outside of the image count for nothing."""
    inside = g.And(g.GreaterOrEqual(index, 0), g.LessOrEqual(index, last))
    at = g.Cast(g.Max(g.Min(index, last), 0), to=ir.DataType.INT64)
    return _Taps(at, g.Where(inside, weight, 0), g.Where(inside, slope, 0))


def _folded(
    g: GraphBuilder, t: ir.Value, slope: ir.Value, last: ir.Value, reflect: bool, align: bool
) -> tuple[ir.Value, ir.Value]:
    """Coordinates brought back into the image, by reflection at its ends or by cutting off."""
    if reflect:
        low = 0.0 if align else -0.5
        span = last if align else g.Add(last, 1)
        away = g.Sub(t, low)
        turns = g.Floor(g.Div(g.Abs(away), span))
        rest = g.Sub(g.Abs(away), g.Mul(turns, span))
        odd = g.Equal(g.Mod(turns, 2, fmod=1), 1)
        t = g.Add(g.Where(odd, g.Sub(span, rest), rest), low)
        slope = g.Mul(slope, g.Mul(g.Sign(away), g.Where(odd, -1, g.constant(1, t.dtype))))
    outside = g.Or(g.Less(t, 0), g.Greater(t, last))
    return g.Max(g.Min(t, last), 0), g.Where(outside, 0, slope)


def _linear(g: GraphBuilder, r: ir.Value) -> tuple[ir.Value, ir.Value]:
    sign = g.constant([-1, 1], r.dtype)
    return g.Add(g.Mul(r, sign), g.constant([1, 0], r.dtype)), sign


def _cubic(g: GraphBuilder, r: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Keys, 1981, Cubic convolution interpolation for digital image processing, with a = -3/4, as polynomials in r."""
    a = _CUBIC_A
    rows = [[0, a, -2 * a, a], [1, 0, -a - 3, a + 2], [0, -a, 2 * a + 3, -a - 2], [0, 0, a, -a]]
    powers = [g.Expand(g.constant(1, r.dtype), g.Shape(r)), r, g.Mul(r, r), g.Mul(r, g.Mul(r, r))]
    table = np.array(rows, np.float64).T
    change = np.vstack([table[k] * k for k in range(1, 4)])
    return (
        g.MatMul(g.Concat(*powers, axis=2), g.constant(table, r.dtype)),
        g.MatMul(g.Concat(*powers[:3], axis=2), g.constant(change, r.dtype)),
    )


@vjp("AffineGrid")
def affine_grid(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Linear in theta: (x, y, 1) theta^T, where theta = 1 gives the coordinates (x, y)."""
    theta, size = node.inputs
    n, d = g.dim(theta, 0), g.dim(theta, 1)
    if not isinstance(d, int):
        raise ValueError("whether places have two coordinates or three must be known before the model runs")
    unit = g.Expand(g.constant(np.eye(d, d + 1), theta.dtype), g.shape(theta))
    places = g.AffineGrid(unit, size, align_corners=node.attributes.get_int("align_corners", 0))
    rows = g.Reshape(places, [0, -1, d])
    ones = g.Expand(g.constant(1, theta.dtype), g.Concat(g.Shape(rows, start=0, end=2), g.vector([1]), axis=0))
    flat = g.reshape(dy, [n, -1, d])
    return g.MatMul(g.Transpose(flat, perm=[0, 2, 1]), g.Concat(rows, ones, axis=2)), None
