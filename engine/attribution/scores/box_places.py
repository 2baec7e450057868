"""Which box of each example is meant, its corners, and its numbers in a table of all boxes, as nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...data.arrays import as_array
from ...detection.detector import SIDES, Boxes
from ...detection.suppression import Kept, overlap_with
from ...errors import InputError
from ...graph.builder import GraphBuilder

__all__ = ["corners_near", "found_at", "order_of", "row_at"]

SAME = 0.5  # overlap from which a box is the one that the user gave


def order_of(g: GraphBuilder, boxes: Boxes, kept: Kept, label: ir.Value, near: ir.Value) -> ir.Value:
    """What ranks the boxes of each example, zero for those that do not count, (rows, boxes)."""
    given = g.Not(g.IsNaN(near))
    overlap = overlap_with(g, boxes.sides, g.Where(given, near, 0.0))
    close = g.Where(g.GreaterOrEqual(overlap, SAME), overlap, 0.0)
    first = g.Slice(given, [0], [1], [1])
    counts = g.Or(g.Less(label, 0.0), g.Equal(g.Cast(kept.labels, to=ir.DataType.FLOAT), label))
    ranked = g.Where(g.Greater(kept.scores, 0.0), g.Where(first, close, kept.scores), 0.0)
    return g.Where(counts, ranked, 0.0)


def found_at(g: GraphBuilder, order: ir.Value, rank: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The place of the box of a rank, whether it is there, and how many are: (rows, 1) each."""
    _, places = g.TopK(order, g.Shape(order, start=1, end=2), axis=1, outputs=2)
    count = g.ReduceSum(g.Cast(g.Greater(order, 0.0), to=ir.DataType.FLOAT), [1], keepdims=1)
    last = g.Cast(g.Sub(g.Shape(order, start=1, end=2), 1), to=ir.DataType.FLOAT)
    index = g.Cast(g.Max(0.0, g.Min(rank, last)), to=ir.DataType.INT64)
    return g.GatherElements(places, index, axis=1), g.Less(rank, count), count


def row_at(g: GraphBuilder, table: ir.Value, at: ir.Value) -> ir.Value:
    """The row of each example at a place: (rows, boxes, k) and (rows, 1) to (rows, 1, k)."""
    wide = g.Expand(g.Unsqueeze(at, [2]), g.Concat(g.Shape(at), g.Shape(table, start=2, end=3), axis=0))
    return g.GatherElements(table, wide, axis=1)


def corners_near(near: Sequence[float] | np.ndarray, rows: int) -> np.ndarray:
    """The box that a user gave, (4,) or (rows, 4); an InputError for anything else."""
    box = as_array(near, "near")
    if box.shape not in ((SIDES,), (rows, SIDES)) or box.dtype.kind not in "iuf" or not np.isfinite(box).all():
        raise InputError(f"near of shape {box.shape}: give x1, y1, x2, y2 in pixels, one box or one for each of {rows}")
    return box.astype(np.float32)
