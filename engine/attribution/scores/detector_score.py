"""DetectorScore: what the scores of a detector's boxes share, the table of boxes that they read and their settings."""

from __future__ import annotations

import onnx_ir as ir

from ...detection.detector import DETECTIONS, SIDES, Boxes, joined_from, split_table, with_detections
from ...detection.recipes import detector_of
from ...errors import InputError
from ...graph.builder import GraphBuilder
from ...graph.model import Model
from ...methods.checks import check_level, check_share
from ..score_axes import ScoreAxes
from .selection import Score

__all__ = ["DetectorScore"]


class DetectorScore(Score):
    """Base of the scores of boxes, whose fields tell what a box is.

    ``least``: boxes of lower scores are none. ``overlap``: of two boxes of one class that overlap by more
    (intersection over union), the worse is none. ``detector``: the kind of detector by name, None for the one that the
    outputs tell.
    """

    least: float
    overlap: float
    detector: str | None

    def __post_init__(self) -> None:
        check_level("least", self.least)
        check_share("overlap", self.overlap)

    @property
    def tensor(self) -> str | None:
        return DETECTIONS

    @property
    def usual(self) -> bool:
        """Whether a box is what it is by default, so that a text says all of the score."""
        plain = type(self)()
        return (self.least, self.overlap, self.detector) == (plain.least, plain.overlap, plain.detector)

    @property
    def kind(self) -> object:
        return type(self), self.least, self.overlap, self.detector

    def prepared(self, model: Model) -> Model:
        return with_detections(model, detector_of(model, self.detector))

    def refusal(self, model: Model) -> str | None:
        detector = detector_of(model, self.detector)
        if not detector.sorts:
            return None
        return (
            f"this {detector.name} model orders its boxes by their scores, so that a box has another place at every "
            "point; use a method of one point, such as saliency, layer-cam or lrp, or export the model without that "
            "step"
        )

    def check_class(self, label: int, scores: ScoreAxes) -> None:
        """An InputError for a class that the detector does not have."""
        classes = (scores.shape[-1] or SIDES) - SIDES
        if label >= classes:
            raise InputError(f"class {label} is out of range: the detector has classes 0 to {classes - 1}")

    def boxes(self, g: GraphBuilder, flat: ir.Value, scores: ScoreAxes) -> Boxes:
        """All boxes of the flattened table; where its two parts are at hand, a score depends on no place."""
        if (parts := joined_from(flat)) is not None:
            return parts
        numbers = scores.shape[-1] or 0
        return split_table(g, g.Reshape(flat, [0, -1, numbers]), numbers)
