"""Agreement of answers, beside that of evidence, so that a drift of one is told from a drift of the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .agreement import METRICS, Metric
from .attribution_map import AttributionMap

__all__ = ["OUTPUTS", "output_agreement"]

Scores = NDArray[np.floating]
TOP = 5


def top1(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Whether the top class is the same."""
    return float(reference.values.argmax() == candidate.values.argmax())


def top5(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Share of the reference's top five classes that are among the candidate's."""
    count = min(TOP, reference.values.size)
    a, b = (set(np.argsort(-one.values, kind="stable")[:count].tolist()) for one in (reference, candidate))
    return len(a & b) / count


OUTPUTS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("top1", top1, 1.0, 0.0, "same top class"),
        Metric("top5", top5, 1.0, 0.0, "shared top five"),
        replace(METRICS["relative-l2"], name="score-drift", title="drift of scores (relative L2)"),  # of all scores
    )
}


def output_agreement(reference: Scores, candidate: Scores) -> dict[str, float]:
    """All of these; of vectors of equal length."""
    return {name: metric(reference, candidate) for name, metric in OUTPUTS.items()}
