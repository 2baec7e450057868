"""Detectors that give boxes and scores as two outputs: SSD, UltraFace, DETR and its relatives."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.model import Model, is_float
from .detector import SIDES, Boxes, Detector, comes_from, corners, in_pixels

__all__ = ["detr", "rt_detr", "ssd"]

IN_SHARES = 2.0  # boxes none of whose coordinates is above this are shares of the picture, the others pixels


def ssd(model: Model) -> Detector | None:
    """SSD and UltraFace: corners (N, boxes, 4), the softmax of the classes (N, boxes, classes), background first."""
    found = _pair(model)
    if found is None or not comes_from(found[1], "Softmax"):
        return None
    return Detector("SSD", partial(_read, skipped="first", activation=None, centred=False))


def detr(model: Model) -> Detector | None:
    """DETR (Carion et al., 2020, arXiv:2005.12872): centres and sizes as shares of the picture, and logits whose
    softmax has "no object" last; as many classes as COCO's 91 and that one tell it from RT-DETR."""
    found = _pair(model)
    if found is None or not _queries(found) or found[1].shape is None or found[1].shape[2] not in (92, 251):
        return None
    return Detector("DETR", partial(_read, skipped="last", activation="Softmax", centred=True))


def rt_detr(model: Model) -> Detector | None:
    """RT-DETR, RF-DETR and Deformable DETR: as DETR, with a sigmoid of each class."""
    found = _pair(model)
    if found is None or not _queries(found):
        return None
    return Detector("RT-DETR", partial(_read, skipped="none", activation="Sigmoid", centred=True))


def _read(g: GraphBuilder, model: Model, skipped: str, activation: str | None, centred: bool) -> Boxes:
    boxes, scores = _pair(model) or (model.outputs[0], model.outputs[1])
    scores = g.Softmax(scores, axis=2) if activation == "Softmax" else g.Sigmoid(scores) if activation else scores
    if skipped != "none":
        start, end = (1, 2**31) if skipped == "first" else (0, -1)
        scores = g.Slice(scores, *(g.constant([k], ir.DataType.INT64) for k in (start, end, 2)))
    return Boxes(_where_shares(g, model, corners(g, boxes) if centred else boxes), scores)


def _where_shares(g: GraphBuilder, model: Model, boxes: ir.Value) -> ir.Value:
    shares = g.LessOrEqual(g.ReduceMax(g.Abs(boxes), [1, 2], keepdims=1), g.constant(IN_SHARES, boxes.dtype))
    return g.Where(shares, in_pixels(g, model, boxes), boxes)


def _pair(model: Model) -> tuple[ir.Value, ir.Value] | None:
    """Boxes (N, boxes, 4) and scores (N, boxes, classes) among the outputs; by name where there are four classes."""
    outputs = [y for y in model.outputs if is_float(y) and y.shape is not None and len(y.shape) == 3]
    four = [y for y in outputs if y.shape is not None and y.shape[2] == SIDES]
    named = [y for y in four if len(four) < 2 or any(word in str(y.name).lower() for word in ("box", "dets", "loc"))]
    if len(named) != 1:
        return None
    rest = [y for y in outputs if y is not named[0] and y.shape is not None and _as_many(y, named[0])]
    return (named[0], rest[0]) if len(rest) == 1 else None


def _as_many(y: ir.Value, boxes: ir.Value) -> bool:
    return y.shape is not None and boxes.shape is not None and y.shape[1] == boxes.shape[1]


def _queries(found: tuple[ir.Value, ir.Value]) -> bool:
    """Whether the outputs carry the names that DETR's exports give them."""
    names = {str(y.name).rsplit("/")[-1] for y in found}
    return names in ({"pred_boxes", "logits"}, {"pred_boxes", "pred_logits"}, {"dets", "labels"}, {"boxes", "logits"})
