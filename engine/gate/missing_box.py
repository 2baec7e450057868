"""What a candidate has where a box of the reference lies and no box of that class overlaps it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..attribution.scores import Box
from ..data.batch import Prepared
from ..data.labels import Labels
from ..explainer import DetectedBox, open_box_finder
from .explained_target import ExplainedTarget
from .metrics.outputs import output_agreement
from .model_under_test import ModelUnderTest

__all__ = ["missing_box"]


def missing_box(side: ModelUnderTest, given: Prepared, wanted: ExplainedTarget, labels: Labels) -> str:
    """Why a candidate has not the box, or the boxes of a class, that the reference explains."""
    said, box = wanted.words(labels), wanted.score
    if not isinstance(box, Box) or wanted.corners is None:
        return f"no box of the class is in the candidate: the reference has {said}"
    finder = open_box_finder(side.model, box, side.preprocess, side.settings.providers, side.settings.threads)
    found = [(_overlap(wanted.corners, one), one) for one in finder(dict(given.batch.feeds))[0]]
    overlap, best = max(found, key=lambda one: one[0], default=(0.0, None))
    if best is None or not overlap:
        return f"no box overlaps {said}: the candidate has none there"
    name = labels.get(best.label, f"class {best.label}")
    return f"no box overlaps {said}: the nearest in the candidate, {name}, overlaps by {overlap:.2f}"


def _overlap(corners: NDArray, other: DetectedBox) -> float:
    return output_agreement(np.asarray(corners), np.array(other.corners), ["box-iou"])["box-iou"]
