"""Detector: how the boxes of a model are read, and the tensor that holds all of them in one layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass

from ..errors import ModelError
from ..graph.builder import GraphBuilder
from ..graph.model import Model, is_float
from ..graph.moving_operators import CASTING

__all__ = [
    "DETECTIONS",
    "SIDES",
    "Boxes",
    "Detector",
    "comes_from",
    "computes",
    "corners",
    "float32",
    "in_pixels",
    "picture_input",
    "split_table",
    "with_detections",
]

DETECTIONS = (
    "onnxray/detections"  # the tensor, (N, boxes, 4 + classes): corners in pixels, then the score of each class
)
SIDES = 4
_PICKS = CASTING | {"Concat", "Gather", "GatherElements", "GatherND", "Slice", "Split"}


@dataclass(frozen=True)
class Boxes:
    """All boxes of a run: x1, y1, x2, y2 ``(N, boxes, 4)`` in pixels of the input, and the score of each class of each
    ``(N, boxes, classes)``."""

    sides: ir.Value
    scores: ir.Value


@dataclass(frozen=True)
class Detector:
    """A kind of detector: its name, and the nodes that read its boxes.

    ``sorts``: the model itself orders its boxes by their scores, so that another input has another order.
    """

    name: str
    read: Callable[[GraphBuilder, Model], Boxes]
    sorts: bool = False


def with_detections(model: Model, detector: Detector) -> Model:
    """A copy of the model whose graph computes the tensor ``DETECTIONS``, too."""
    copy = model.copy()
    g = GraphBuilder(copy.graph, prefix="detect")
    boxes = detector.read(g, copy)
    joined = g.Concat(float32(g, boxes.sides), float32(g, boxes.scores), axis=2)
    joined.name = DETECTIONS
    TopologicalSortPass()(copy.program)
    return copy


def split_table(g: GraphBuilder, table: ir.Value, numbers: int) -> Boxes:
    """The boxes of the tensor ``DETECTIONS``, which has so many numbers for each."""
    lengths = g.constant([SIDES, numbers - SIDES], ir.DataType.INT64)
    return Boxes(*g.Split(table, lengths, axis=2, outputs=2))


def picture_input(model: Model) -> ir.Value:
    """The input that is a batch of pictures; a ModelError if there is none."""
    for value in model.inputs:
        if is_float(value) and value.shape is not None and len(value.shape) == 4:
            return value
    raise ModelError("a detector's input is a batch of pictures, of four axes; this model has none")


def _size(g: GraphBuilder, model: Model) -> tuple[int | ir.Value, int | ir.Value]:
    """Height and width of the pictures, numbers where the model sets them."""
    value = picture_input(model)
    last = value.shape is not None and value.shape[3] in (1, 3) and value.shape[1] not in (1, 3)
    return (g.dim(value, 1), g.dim(value, 2)) if last else (g.dim(value, 2), g.dim(value, 3))


def corners(g: GraphBuilder, boxes: ir.Value) -> ir.Value:
    """x1, y1, x2, y2 of boxes given as x and y of the centre, width and height, (N, boxes, 4)."""
    centre, size = g.Split(boxes, g.constant([2, 2], ir.DataType.INT64), axis=2, outputs=2)
    half = g.Mul(size, 0.5)
    return g.Concat(g.Sub(centre, half), g.Add(centre, half), axis=2)


def in_pixels(g: GraphBuilder, model: Model, shares: ir.Value) -> ir.Value:
    """Corners given as shares of width and height, in pixels."""
    height, width = (_number(g, size) for size in _size(g, model))
    return g.Mul(shares, g.CastLike(g.Concat(width, height, width, height, axis=0), shares))


def comes_from(value: ir.Value | None, op: str) -> bool:
    """Whether an operator makes what nodes that pick and move then give."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == op:
            return True
        value = node.inputs[0] if node.op_type in _PICKS and node.inputs else None
    return False


def _number(g: GraphBuilder, size: int | ir.Value) -> ir.Value:
    return size if isinstance(size, ir.Value) else g.constant([size], ir.DataType.INT64)


def computes(model: Model, op: str) -> bool:
    """Whether a node of the model is of an operator."""
    return any(node.op_type == op and node.domain == "" for node in model.graph)


def float32(g: GraphBuilder, value: ir.Value) -> ir.Value:
    """A tensor of the model in single precision."""
    return value if value.dtype == ir.DataType.FLOAT else g.Cast(value, to=ir.DataType.FLOAT)
