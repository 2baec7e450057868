"""Which boxes a detector keeps: non-maximum suppression, class by class, as nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .detector import Boxes

__all__ = ["Kept", "kept_boxes", "overlap_with"]

MOST = 1000  # boxes that are kept of one example


@dataclass(frozen=True)
class Kept:
    """Of each box: the score of its best class, zero where the box is not kept, and that class, (N, boxes)."""

    scores: ir.Value
    labels: ir.Value


def kept_boxes(g: GraphBuilder, boxes: Boxes, overlap: float, least: float) -> Kept:
    """The boxes whose best class has ``least`` or more and that overlap no better one of their class.

    Boxes of different classes are moved apart, so that one suppression does for all of them.
    """
    best, labels = g.ReduceMax(boxes.scores, [2], keepdims=0), g.ArgMax(boxes.scores, axis=2, keepdims=0)
    apart = g.Mul(2, g.Add(1, g.ReduceMax(g.Abs(boxes.sides), [0, 1, 2], keepdims=1)))
    moved = g.Add(boxes.sides, g.Mul(apart, g.Unsqueeze(g.CastLike(labels, boxes.sides), [2])))
    below = np.nextafter(np.float32(least), np.float32(-1))  # the operator keeps what is above its threshold
    limits = (g.constant(overlap, ir.DataType.FLOAT), g.constant(below, ir.DataType.FLOAT))
    most = g.constant([MOST], ir.DataType.INT64)
    chosen = g.NonMaxSuppression(moved, g.Unsqueeze(best, [1]), most, *limits)  # (kept, 3): example, 0, box
    places = g.Gather(chosen, [0, 2], axis=1)
    ones = g.Expand(g.constant([1], ir.DataType.FLOAT), g.Shape(places, start=0, end=1))
    zeros = g.Expand(g.constant(0, ir.DataType.FLOAT), g.Shape(best))
    return Kept(g.Mul(best, g.ScatterND(zeros, places, ones)), labels)


def overlap_with(g: GraphBuilder, sides: ir.Value, box: ir.Value) -> ir.Value:
    """The intersection over union of boxes (N, boxes, 4) with one box of each example (N, 4), (N, boxes)."""
    (low, high), (left, right) = (_ends(g, each) for each in (sides, g.Unsqueeze(box, [1])))
    common = _area(g, g.Max(0.0, g.Sub(g.Min(high, right), g.Max(low, left))))
    every = g.Add(_area(g, g.Sub(high, low)), _area(g, g.Sub(right, left)))
    return g.Div(common, g.Max(1e-9, g.Sub(every, common)))


def _ends(g: GraphBuilder, sides: ir.Value) -> tuple[ir.Value, ir.Value]:
    """x and y of the least and of the greatest corner; a decoder may give them the other way round."""
    first, second = g.Split(sides, [2, 2], axis=2, outputs=2)
    return g.Min(first, second), g.Max(first, second)


def _area(g: GraphBuilder, size: ir.Value) -> ir.Value:
    return g.ReduceProd(size, [2], keepdims=0)
