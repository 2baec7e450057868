"""The YOLO family: v5 and v7, YOLOX, v8 to v12 with their segmentation, pose and oriented forms, and end to end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise

import numpy as np
import onnx_ir as ir

from ..errors import ModelError
from ..graph.builder import GraphBuilder
from ..graph.metadata import class_names
from ..graph.model import Model
from .columns import columns
from .detector import SIDES, Boxes, Detector, cells, comes_from, computes, corners, in_pixels, picture_size

__all__ = ["end_to_end", "yolo", "yolo_rt_detr", "yolo_v8", "yolox"]

STRIDES = (8, 16, 32)  # pixels between the cells of the three grids
POINT = 3  # numbers of a key point
MOST_LISTED = 1000  # boxes that such a model gives
LISTED = 6  # numbers of a box that the model lists itself: corners, score and class


def yolox(model: Model, named: bool = False) -> Detector | None:
    """YOLOX (Ge et al., 2021, arXiv:2107.08430): offsets in cells of three grids, as the model's last convolutions give
    them, and objectness times class."""
    if _boxes(model) not in _grid_sizes(model)[:1] or (computes(model, "Exp") and not named):
        return None
    return Detector(_read_yolox)


def yolo(model: Model, named: bool = False) -> Detector | None:
    """YOLOv5, v7 and a YOLOX that decodes: (N, boxes, 5 + classes), centres and sizes in pixels, objectness, classes.

    Of YOLOv5 with masks, whose prototypes are a second output, their coefficients stand behind the classes.
    """
    boxes, last, names = _boxes(model), _last(model.outputs[0]) or 0, class_names(model.metadata)
    classes = last - SIDES - 1 - _masks(model)
    said = named or (bool(names) and classes == len(names))
    if classes < 1 or not (said or boxes in _grid_sizes(model)):
        return None
    return Detector(partial(_read_yolo, classes=classes))


def yolo_v8(model: Model, named: bool = False) -> Detector | None:
    """YOLOv8 and later: (N, 4 + classes + extra, boxes), centres and sizes in pixels, then a score for each class.

    Of a model without names of classes in its metadata, the nodes that give them, behind a Sigmoid, tell how many; a
    model that a user calls so has classes alone behind its boxes.
    """
    y, task = model.outputs[0], model.metadata.get("task", "")
    rows, boxes = (None, None) if y.shape is None or len(y.shape) != 3 else (y.shape[1], y.shape[2])
    turned = task == "obb"
    if not isinstance(rows, int) or (isinstance(boxes, int) and boxes <= rows and boxes not in _grid_sizes(model)):
        return None
    count = len(class_names(model.metadata)) or _sigmoids(y) or (rows - SIDES - turned if named else 0)
    extra = rows - SIDES - count
    if not count or extra < 0 or not (extra == turned or task in ("segment", "pose") or _sigmoids(y) or named):
        return None
    return Detector(partial(_read_v8, classes=count, turned=turned))


def end_to_end(model: Model, named: bool = False) -> Detector | None:
    """YOLOv10, RT-DETR and exports with the suppression inside: (N, boxes, 6): the box, its score and its class.

    The box is corners in pixels, or as a Sigmoid gives it, centre and size as shares of the picture. Coefficients of
    masks or key points may stand behind.
    """
    names, boxes, last = class_names(model.metadata), _boxes(model), _last(model.outputs[0]) or 0
    points = model.metadata.get("task") == "pose" and (last - LISTED) % POINT == 0 and (boxes or 0) <= MOST_LISTED
    fits = last == LISTED + _masks(model) or (last > LISTED and points and last not in _grid_sizes(model))
    if not names or not fits or (boxes in _grid_sizes(model) and not named):
        return None
    return Detector(partial(_read_listed, classes=len(names)), sorts=True)


def yolo_rt_detr(model: Model, named: bool = False) -> Detector | None:
    """RT-DETR as ultralytics exports it: (N, queries, 4 + classes), centres and sizes as shares, and classes."""
    y, names = model.outputs[0], class_names(model.metadata)
    if not (named or (names and _last(y) == SIDES + len(names) and comes_from(y, "Sigmoid"))) or not _last(y):
        return None
    return Detector(_read_rt_detr)


def _read_yolox(g: GraphBuilder, model: Model) -> Boxes:
    grids = _cells(model)
    places = np.concatenate(grids)
    strides = np.concatenate([np.full((len(c), 1), s, np.float32) for c, s in zip(grids, STRIDES, strict=True)])
    offset, size, objectness, classes = _split(g, _first(g, model), (2, 2, 1))
    centre = g.Mul(g.Add(offset, g.constant(places)), g.constant(strides))
    boxes = g.Concat(centre, g.Mul(g.Exp(size), g.constant(strides)), axis=2)
    return Boxes(corners(g, boxes), g.Mul(objectness, classes))


def _read_yolo(g: GraphBuilder, model: Model, classes: int) -> Boxes:
    boxes, objectness, scores, *_ = _split(g, _first(g, model), (SIDES, 1, classes))
    return Boxes(corners(g, boxes), g.Mul(objectness, scores))


def _read_v8(g: GraphBuilder, model: Model, classes: int, turned: bool) -> Boxes:
    boxes, scores, *rest = _split(g, g.Transpose(_first(g, model), perm=[0, 2, 1]), (SIDES, classes))
    return Boxes(corners(g, _upright(g, boxes, rest[0]) if turned and rest else boxes), scores)


def _read_listed(g: GraphBuilder, model: Model, classes: int) -> Boxes:
    boxes, score, label, *_ = _split(g, _first(g, model), (SIDES, 1, 1))
    if comes_from(model.outputs[0], "Sigmoid"):
        boxes = in_pixels(g, model, corners(g, boxes))
    places = g.constant(np.arange(classes, dtype=np.float32))
    return Boxes(boxes, g.Where(g.Equal(g.Round(label), places), score, g.constant(0, ir.DataType.FLOAT)))


def _read_rt_detr(g: GraphBuilder, model: Model) -> Boxes:
    boxes, scores = _split(g, _first(g, model), (SIDES,))
    return Boxes(in_pixels(g, model, corners(g, boxes)), scores)


def _upright(g: GraphBuilder, boxes: ir.Value, angle: ir.Value) -> ir.Value:
    """The upright box round one that is turned by an angle in radians, centre and size alike."""
    centre, width, height = g.Split(boxes, [2, 1, 1], axis=2, outputs=3)
    cos, sin = g.Abs(g.Cos(angle)), g.Abs(g.Sin(angle))
    sides = [g.Add(g.Mul(width, a), g.Mul(height, b)) for a, b in ((cos, sin), (sin, cos))]
    return g.Concat(centre, *sides, axis=2)


def _first(g: GraphBuilder, model: Model) -> ir.Value:
    return g.as_float32(model.outputs[0])


def _split(g: GraphBuilder, y: ir.Value, first: Sequence[int]) -> Sequence[ir.Value]:
    """The parts of the last axis: so many numbers each, and the rest, if any is left."""
    last = _last(y)
    if last is None:
        raise ModelError(f"the boxes {y.name!r} have an open number of numbers each")
    ends = [0, *accumulate(first), last]
    return [columns(g, y, 2, start, stop) for start, stop in pairwise(ends) if start < stop]


def _cells(model: Model) -> list[np.ndarray]:
    """x and y of every cell of the three grids; none where the model leaves the size of pictures open."""
    grids = [cells(picture_size(model), stride) for stride in STRIDES]
    return [grid for grid in grids if grid is not None]


def _last(y: ir.Value) -> int | None:
    """The numbers of a box in an output (N, boxes, numbers)."""
    last = y.shape[2] if y.shape is not None and len(y.shape) == 3 else None
    return last if isinstance(last, int) else None


def _boxes(model: Model) -> int | None:
    """The number of boxes of an output (N, boxes, 5 + classes), None where it is open or another."""
    y = model.outputs[0]
    boxes = y.shape[1] if y.shape is not None and (_last(y) or 0) > SIDES + 1 else None
    return boxes if isinstance(boxes, int) else None


def _grid_sizes(model: Model) -> tuple[int, ...]:
    """How many boxes three grids give, with one box for each cell or three."""
    count = sum(map(len, _cells(model)))
    return (count, 3 * count) if count else ()


def _masks(model: Model) -> int:
    """The coefficients of masks that a box has: as many as a second output has prototypes."""
    if len(model.outputs) != 2 or model.outputs[1].shape is None or len(model.outputs[1].shape) != 4:
        return 0
    count = model.outputs[1].shape[1]
    return count if isinstance(count, int) else 0


def _sigmoids(y: ir.Value) -> int:
    """The rows of an output (N, 4 + classes + extra, boxes) that a Sigmoid gives, next to four of the box."""
    node = y.producer()
    parts = list(node.inputs) if node is not None and node.op_type == "Concat" else []
    if len(parts) < 2 or parts[1] is None or parts[1].shape is None or len(parts[1].shape) != 3:
        return 0
    maker, rows = parts[1].producer(), parts[1].shape[1]
    first = parts[0].shape[1] if parts[0] is not None and parts[0].shape is not None else None
    return rows if maker is not None and maker.op_type == "Sigmoid" and first == SIDES and isinstance(rows, int) else 0
