"""Agreement of answers, beside that of evidence, so that a drift of one is told from a drift of the other.

What is measured depends on the target: of a class, the top classes; of a box, where both boxes lie; of any other, the
explained score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .agreement import METRICS, Metric
from .attribution_map import AttributionMap

__all__ = ["FOUND", "OF_CLASSES", "OUTPUTS", "output_agreement"]

Scores = NDArray[np.floating]
TOP = 5
FOUND = "target-found"
OF_CLASSES = ("top1", "top5", "score-drift")


def top1(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Whether the top class is the same."""
    return float(reference.values.argmax() == candidate.values.argmax())


def top5(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Share of the reference's top five classes that are among the candidate's."""
    count = min(TOP, reference.values.size)
    a, b = (set(np.argsort(-one.values, kind="stable")[:count].tolist()) for one in (reference, candidate))
    return len(a & b) / count


def found(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Whether the candidate has what the reference has: one number each, 1 where it is there and 0 where it is not."""
    return float((candidate.values >= reference.values).all())


def box_iou(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Intersection over union of two boxes x1, y1, x2, y2, whose corners may come in any order (Jaccard, 1901)."""
    a, b = (np.sort(one.values.reshape(2, 2), axis=0) for one in (reference, candidate))
    common = np.prod(np.maximum(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0))
    return float(common / (np.prod(a[1] - a[0]) + np.prod(b[1] - b[0]) - common))


OUTPUTS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("top1", top1, 1.0, 0.0, "same top class"),
        Metric("top5", top5, 1.0, 0.0, "shared top five"),
        replace(METRICS["relative-l2"], name="score-drift", title="drift of scores (relative L2)"),  # of all scores
        Metric(FOUND, found, 1.0, 0.0, "the candidate has the box, too"),
        Metric("box-iou", box_iou, 1.0, 0.0, "overlap of the two boxes (intersection over union)"),
        replace(METRICS["relative-l2"], name="count-change", title="change of the number of boxes (relative)"),
        replace(METRICS["relative-l2"], name="score-change", title="change of the explained score (relative)"),
    )
}


def output_agreement(reference: Scores, candidate: Scores, names: Sequence[str] = OF_CLASSES) -> dict[str, float]:
    """These of the metrics; of vectors of equal length."""
    return {name: OUTPUTS[name](reference, candidate) for name in names}
