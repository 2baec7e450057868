"""Replaces RoiAlign and MaxRoiPool by products and maxima of what their windows read.

He et al., 2017, arXiv:1703.06870, section 3; Girshick, 2015, arXiv:1504.08083, section 2. Averages are separable: a
matrix of bilinear weights along either axis, so that regions have a gradient, too. Maxima are taken, as onnxruntime
has it, over every element that a sample reads times its weight. Arrays are (regions, bins, samples or taps).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import decomposes

_INT64, _ROWS, _COLUMNS = ir.DataType.INT64, 2, 3


@dataclass(frozen=True)
class _Samples:
    """Along an axis: where a region is read, what lies near enough to count, what there is, and how much of it."""

    at: ir.Value
    near: ir.Value
    kept: ir.Value
    count: ir.Value


@dataclass(frozen=True)
class _Taps:
    """Along an axis: the elements that are read, their weights, and which of them there are."""

    index: ir.Value
    weight: ir.Value | None
    kept: ir.Value


@decomposes("RoiAlign", domain="")
def _roi_align(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, _, batch = node.inputs
    rows, columns = (_samples(g, node, axis) for axis in (_ROWS, _COLUMNS))
    if node.attributes.get_string("mode", "avg") == "max":
        taps = (_bilinear_taps(g, x, rows, _ROWS), _bilinear_taps(g, x, columns, _COLUMNS))
        return [_maximum(g, x, batch, *taps)]
    return [_average(g, x, batch, _weights(g, x, rows, _ROWS), _weights(g, x, columns, _COLUMNS))]


def _samples(g: GraphBuilder, node: Any, axis: int) -> _Samples:
    """A number of them per bin that is given, or grows with the region."""
    x, rois, _ = node.inputs
    number, text = node.attributes.get_int, node.attributes.get_string
    bins, given = number("output_height" if axis == _ROWS else "output_width", 1), number("sampling_ratio", 0)
    shift = 0.5 if text("coordinate_transformation_mode", "half_pixel") == "half_pixel" else 0
    scaled = g.Sub(g.Mul(rois, node.attributes.get_float("spatial_scale", 1.0)), shift)
    begin, end = (_column(g, scaled, 3 - axis + k) for k in (0, 2))
    step = g.Div(g.Sub(end, begin) if shift else g.Max(g.Sub(end, begin), 1), bins)
    count = g.Ceil(step) if given <= 0 else g.Expand(g.constant(given, x.dtype), g.Shape(step))
    k = _counted(g, count)
    at = g.Add(begin, g.Mul(g.Add(_bins(g, x, bins), g.Div(g.Add(k, 0.5), g.Max(count, 1))), step))
    size = _length(g, x, axis)
    near = g.And(g.GreaterOrEqual(at, -1), g.LessOrEqual(at, size))
    return _Samples(g.Max(g.Min(at, g.Sub(size, 1)), 0), near, g.Less(k, count), count)


def _column(g: GraphBuilder, rois: ir.Value, k: int) -> ir.Value:
    """One number of each region: (regions, 1, 1)."""
    return g.Unsqueeze(g.Gather(rois, [k], axis=1), [2])


def _length(g: GraphBuilder, x: ir.Value, axis: int) -> ir.Value:
    size = g.dim(x, axis)
    return g.constant(size, x.dtype) if isinstance(size, int) else g.Cast(g.Reshape(size, _scalar(g)), to=x.dtype)


def _scalar(g: GraphBuilder) -> ir.Value:
    return g.constant([], _INT64)


def _bins(g: GraphBuilder, x: ir.Value, bins: int) -> ir.Value:
    return g.constant([[[p] for p in range(bins)]], x.dtype)


def _counted(g: GraphBuilder, count: ir.Value) -> ir.Value:
    """0, 1, 2, ... up to the largest count: (samples)."""
    most = g.ReduceMax(g.Concat(g.Reshape(count, [-1]), g.constant([1], count.dtype), axis=0), keepdims=0)
    return g.Cast(g.Range(0, g.Cast(most, to=_INT64), 1), to=count.dtype)


def _weights(g: GraphBuilder, x: ir.Value, s: _Samples, axis: int) -> ir.Value:
    """The weight of each element in each bin: (regions, bins, elements)."""
    positions = g.Cast(g.counted(x, axis), to=x.dtype)
    hat = g.Max(g.Sub(1, g.Abs(g.Sub(g.Unsqueeze(s.at, [3]), positions))), 0)
    counted = g.Where(g.Unsqueeze(g.And(s.near, s.kept), [3]), hat, 0)
    return g.Div(g.ReduceSum(counted, [2], keepdims=0), g.Max(s.count, 1))


def _average(g: GraphBuilder, x: ir.Value, batch: ir.Value, high: ir.Value, wide: ir.Value) -> ir.Value:
    """High X wide^T of each region's own image; all images are multiplied where there are several."""
    width = g.dim(wide, 1)
    turned = g.Reshape(g.Transpose(wide, perm=[2, 0, 1]), [0, -1])
    read = g.reshape(g.MatMul(x, turned), [0, 0, 0, -1, width])
    if g.dim(x, 0) != 1:
        own = g.Cast(g.Equal(g.Unsqueeze(g.counted(x, 0), [1]), batch), to=x.dtype)
        read = g.Mul(read, g.Unsqueeze(own, [1, 2, 4]))
    mine = g.Transpose(g.ReduceSum(read, [0], keepdims=0), perm=[2, 0, 1, 3])
    return g.MatMul(g.Unsqueeze(high, [1]), mine)


def _bilinear_taps(g: GraphBuilder, x: ir.Value, s: _Samples, axis: int) -> _Taps:
    """The elements on both sides of each sample; one that lies too far out counts, with zeros."""
    first = g.Floor(s.at)
    second = g.Min(g.Add(first, 1), g.Sub(_length(g, x, axis), 1))
    behind = g.Sub(s.at, first)
    weight = g.Where(g.Concat(s.near, s.near, axis=2), g.Concat(g.Sub(1, behind), behind, axis=2), 0)
    return _Taps(g.Cast(g.Concat(first, second, axis=2), to=_INT64), weight, g.Concat(s.kept, s.kept, axis=2))


@decomposes("MaxRoiPool", domain="")
def _max_roi_pool(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, rois = node.inputs
    batch = g.Cast(g.Squeeze(g.Gather(rois, [0], axis=1), [1]), to=_INT64)
    return [_maximum(g, x, batch, *(_pool_taps(g, node, axis) for axis in (_ROWS, _COLUMNS)))]


def _pool_taps(g: GraphBuilder, node: Any, axis: int) -> _Taps:
    """Every element from the first to the last of a bin, whose ends are whole numbers."""
    x, rois = node.inputs
    bins = node.attributes.get_ints("pooled_shape")[axis - _ROWS]
    scaled = g.Mul(rois, node.attributes.get_float("spatial_scale", 1.0))
    away = g.Mul(g.Sign(scaled), g.Floor(g.Add(g.Abs(scaled), 0.5)))  # halves are rounded away from 0
    begin, end = (_column(g, away, 4 - axis + k) for k in (0, 2))
    step = g.Div(g.Max(g.Add(g.Sub(end, begin), 1), 1), bins)
    number, size = _bins(g, x, bins), _length(g, x, axis)
    first, last = g.Floor(g.Mul(number, step)), g.Ceil(g.Mul(g.Add(number, 1), step))
    low, high = (g.Max(g.Min(g.Add(edge, begin), size), 0) for edge in (first, last))
    k = _counted(g, g.Sub(high, low))
    index = g.Min(g.Add(low, k), g.Sub(size, 1))
    return _Taps(g.Cast(index, to=_INT64), None, g.Less(k, g.Sub(high, low)))


def _maximum(g: GraphBuilder, x: ir.Value, batch: ir.Value, rows: _Taps, columns: _Taps) -> ir.Value:
    """Over the taps of each bin, 0 where it has none."""
    height, width = (g.Reshape(g.vector([g.dim(x, axis)]), _scalar(g)) for axis in (_ROWS, _COLUMNS))
    image = g.Unsqueeze(g.Mul(batch, g.Mul(height, width)), [1, 2, 3])
    at = g.Add(_crossed(g, g.Mul(rows.index, width), columns.index, g.Add), image)
    kept = _crossed(g, rows.kept, columns.kept, g.And)
    table = g.Reshape(g.Transpose(x, perm=[0, 2, 3, 1]), g.vector([-1, g.dim(x, 1)]))
    read = g.Gather(table, at, axis=0)
    if rows.weight is not None and columns.weight is not None:
        read = g.Mul(read, g.Unsqueeze(_crossed(g, rows.weight, columns.weight, g.Mul), [4]))
    largest = g.ReduceMax(g.Where(g.Unsqueeze(kept, [4]), read, -float("inf")), [3], keepdims=0)
    some = g.Cast(g.ReduceMax(g.Cast(kept, to=ir.DataType.INT32), [3], keepdims=1), to=ir.DataType.BOOL)
    return g.Transpose(g.Where(some, largest, 0), perm=[0, 3, 1, 2])


def _crossed(g: GraphBuilder, rows: ir.Value, columns: ir.Value, join: Any) -> ir.Value:
    """Every tap of a row bin with every one of a column bin: (regions, bins, bins, taps)."""
    pairs = join(g.Unsqueeze(rows, [2, 4]), g.Unsqueeze(columns, [1, 3]))
    return g.Reshape(pairs, g.Concat(g.Shape(pairs, start=0, end=3), g.vector([-1]), axis=0))
