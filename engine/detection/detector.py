"""Detector: how the boxes of a model are read, and the tensor that holds all of them in one layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass

from ..errors import ModelError
from ..graph.builder import GraphBuilder
from ..graph.model import Model, is_float
from ..graph.moving_operators import CASTING, QUANTIZING

__all__ = [
    "DETECTIONS",
    "SIDES",
    "Boxes",
    "Detector",
    "cells",
    "comes_from",
    "computes",
    "corners",
    "in_pixels",
    "joined_from",
    "picture_input",
    "picture_size",
    "split_table",
    "with_detections",
]

DETECTIONS = (
    "onnxray/detections"  # the tensor, (N, boxes, 4 + classes): corners in pixels, then the score of each class
)
SIDES = 4
_PICKS = CASTING | QUANTIZING | {"Concat", "Gather", "GatherElements", "GatherND", "Slice", "Split"}


@dataclass(frozen=True)
class Boxes:
    """All boxes of a run: x1, y1, x2, y2 ``(N, boxes, 4)`` in pixels of the input, and the score of each class of each
    ``(N, boxes, classes)``."""

    sides: ir.Value
    scores: ir.Value


@dataclass(frozen=True)
class Detector:
    """A kind of detector: the nodes that read its boxes, and its name in ``DETECTORS``.

    ``sorts``: the model itself orders its boxes by their scores, so that another input has another order.
    """

    read: Callable[[GraphBuilder, Model], Boxes]
    sorts: bool = False
    name: str = ""


def with_detections(model: Model, detector: Detector) -> Model:
    """A copy of the model whose graph computes the tensor ``DETECTIONS``, too."""
    copy = model.copy()
    g = GraphBuilder(copy.graph, prefix="detect")
    boxes = detector.read(g, copy)
    joined = g.Concat(g.as_float32(boxes.sides), g.as_float32(boxes.scores), axis=2)
    joined.name = DETECTIONS
    TopologicalSortPass()(copy.program)
    return copy


def split_table(g: GraphBuilder, table: ir.Value, numbers: int) -> Boxes:
    """The boxes of the tensor ``DETECTIONS``, which has so many numbers for each."""
    return Boxes(*g.Split(table, [SIDES, numbers - SIDES], axis=2, outputs=2))


def joined_from(flat: ir.Value) -> Boxes | None:
    """The two parts that a model joins to the tensor ``DETECTIONS``, of which ``flat`` holds the same numbers."""
    value: ir.Value | None = flat
    while value is not None and (node := value.producer()) is not None and node.inputs:
        if node.op_type == "Concat" and str(value.name).endswith(DETECTIONS):
            sides, scores = node.inputs
            return None if sides is None or scores is None else Boxes(sides, scores)
        value = node.inputs[0] if node.op_type == "Reshape" else None
    return None


def picture_input(model: Model) -> ir.Value:
    """The input that is a batch of pictures; a ModelError if there is none."""
    for value in model.inputs:
        if is_float(value) and value.shape is not None and len(value.shape) == 4:
            return value
    raise ModelError("a detector's input is a batch of pictures, of four axes; this model has none")


def picture_size(model: Model) -> tuple[int | None, int | None]:
    """Height and width of the pictures, None where the model leaves them open."""
    value = picture_input(model)
    height, width = (value.shape[axis] if value.shape is not None else None for axis in _sides(value))
    return height if isinstance(height, int) else None, width if isinstance(width, int) else None


def cells(size: tuple[int | None, int | None], stride: int) -> np.ndarray | None:
    """x and y of the cells of a grid over a picture (cells, 2), row by row; None where the size is open."""
    if None in size:
        return None
    rows, columns = (ceil((side or 0) / stride) for side in size)
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(np.float32)


def _sides(value: ir.Value) -> tuple[int, int]:
    """The axes of height and width."""
    last = value.shape is not None and value.shape[3] in (1, 3) and value.shape[1] not in (1, 3)
    return (1, 2) if last else (2, 3)


def corners(g: GraphBuilder, boxes: ir.Value) -> ir.Value:
    """x1, y1, x2, y2 of boxes given as x and y of the centre, width and height, (N, boxes, 4)."""
    centre, size = g.Split(boxes, [2, 2], axis=2, outputs=2)
    half = g.Mul(size, 0.5)
    return g.Concat(g.Sub(centre, half), g.Add(centre, half), axis=2)


def in_pixels(g: GraphBuilder, model: Model, shares: ir.Value) -> ir.Value:
    """Corners given as shares of width and height, in pixels."""
    value = picture_input(model)
    height, width = (g.dim(value, axis) for axis in _sides(value))
    return g.Mul(shares, g.CastLike(g.vector([width, height, width, height]), shares))


def comes_from(value: ir.Value | None, op: str) -> bool:
    """Whether an operator makes what nodes that pick and move then give."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == op:
            return True
        value = node.inputs[0] if node.op_type in _PICKS and node.inputs else None
    return False


def computes(model: Model, op: str) -> bool:
    """Whether a node of the model is of an operator."""
    return any(node.op_type == op and node.domain == "" for node in model.graph)
