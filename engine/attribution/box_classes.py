"""The classes of a detector's boxes, which labels name."""

from __future__ import annotations

from ..data.labels import Labels
from ..detection.detector import DETECTIONS, SIDES, with_detections
from ..detection.recipes import recognised
from ..graph.model import Model
from .axes import score_axes
from .score_axes import ScoreAxes
from .target_text import fitting_labels

__all__ = ["box_classes", "known_labels"]


def box_classes(model: Model, score: str) -> ScoreAxes | None:
    """The classes of a detector's boxes, as the axis of scores that labels name; None where the model is none."""
    detector = recognised(model) if score == "logit" else None
    if detector is None:
        return None
    table = with_detections(model, detector).value(DETECTIONS)
    last = table.shape[2] if table.shape is not None else None
    return ScoreAxes(DETECTIONS, (last - SIDES if isinstance(last, int) else None,))


def known_labels(model: Model, score: str, given: Labels | None) -> Labels:
    """The labels of a model's scores, or of a detector's boxes: those given, else those of its metadata."""
    return fitting_labels(model, box_classes(model, score) or score_axes(model, score), given)
