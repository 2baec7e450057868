"""Detectors that give boxes and scores as two outputs: SSD, UltraFace, DETR and its relatives."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.model import Model, is_float
from .detector import SIDES, Boxes, Detector, comes_from, computes, corners, in_pixels

__all__ = ["detr", "rt_detr", "ssd"]

END = np.iinfo(np.int64).max
IN_SHARES = 2.0  # corners whose mean is at most this are shares of the picture, others pixels
COCO = (92, 251)  # classes and "no object" of DETR's own files


def ssd(model: Model, named: bool = False) -> Detector | None:
    """SSD and UltraFace: corners (N, boxes, 4), the softmax of the classes (N, boxes, classes), background first."""
    found = _pair(model)
    if found is None or not (named or comes_from(found[1], "Softmax")):
        return None
    return Detector(_read_ssd)


def detr(model: Model, named: bool = False) -> Detector | None:
    """DETR (Carion et al., 2020, arXiv:2005.12872): centres and sizes as shares of the picture, and logits whose
    softmax has "no object" last; it refines no boxes, of which RT-DETR and Deformable DETR take the logarithm."""
    found = _pair(model)
    if found is None or not (named or _of_detr(found, model)):
        return None
    return Detector(partial(_read_queries, softmax=True))


def rt_detr(model: Model, named: bool = False) -> Detector | None:
    """RT-DETR, RF-DETR and Deformable DETR: as DETR, with a sigmoid of each class."""
    found = _pair(model)
    if found is None or not (named or _names(found) in _LOGITS or _names(found) in _RF_DETR):
        return None
    return Detector(partial(_read_queries, softmax=False))


_LOGITS = ({"pred_boxes", "logits"}, {"pred_boxes", "pred_logits"}, {"boxes", "logits"})
_RF_DETR = ({"dets", "labels"},)


def _of_detr(found: tuple[ir.Value, ir.Value], model: Model) -> bool:
    last = found[1].shape[2] if found[1].shape is not None else None
    return _names(found) in _LOGITS and (last in COCO or not computes(model, "Log"))


def _read_ssd(g: GraphBuilder, model: Model) -> Boxes:
    boxes, scores = _both(g, model)
    shares = g.LessOrEqual(g.ReduceMean(g.Abs(boxes), [1, 2], keepdims=1), IN_SHARES)
    return Boxes(g.Where(shares, in_pixels(g, model, boxes), boxes), g.Slice(scores, [1], [END], [2]))


def _read_queries(g: GraphBuilder, model: Model, softmax: bool) -> Boxes:
    boxes, logits = _both(g, model)
    scores = g.Slice(g.Softmax(logits, axis=2), [0], [-1], [2]) if softmax else g.Sigmoid(logits)
    return Boxes(in_pixels(g, model, corners(g, boxes)), scores)


def _both(g: GraphBuilder, model: Model) -> tuple[ir.Value, ir.Value]:
    boxes, scores = _pair(model) or (model.outputs[0], model.outputs[1])
    return g.as_float32(boxes), g.as_float32(scores)


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


def _names(found: tuple[ir.Value, ir.Value]) -> set[str]:
    return {str(y.name).rsplit("/")[-1] for y in found}
