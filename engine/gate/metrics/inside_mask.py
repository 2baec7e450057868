"""How far two maps agree about a mask: the object's outline, or its box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .attribution_map import Map, strength

__all__ = ["MASKED", "MaskedMetric", "mask_agreement", "mass_inside", "points_inside"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MaskedMetric:
    """The agreement of two maps about a mask; ``thresholds``: whether ``fail_under`` takes it."""

    name: str
    measure: Callable[[Map, Map, Mask], float]
    rises: bool = True
    thresholds: bool = True


def mass_inside(values: Map, mask: Mask) -> float:
    """Share of the strength inside of a mask (relevance mass accuracy, Arras et al., 2020, arXiv:2003.07258)."""
    plane = strength(values)
    return float(plane[mask].sum() / plane.sum()) if plane.sum() else 0.0


def points_inside(values: Map, mask: Mask) -> bool:
    """The pointing game: whether the strongest element lies inside (Zhang et al., 2016, arXiv:1608.00507)."""
    plane = strength(values)
    return bool(mask[np.unravel_index(plane.argmax(), plane.shape)])


def same_share(reference: Map, candidate: Map, mask: Mask) -> float:
    """1 less the difference of the shares of evidence inside."""
    return 1 - abs(mass_inside(reference, mask) - mass_inside(candidate, mask))


def same_side(reference: Map, candidate: Map, mask: Mask) -> float:
    """Whether both maps point inside, or both outside."""
    return float(points_inside(reference, mask) == points_inside(candidate, mask))


MASKED: dict[str, MaskedMetric] = {
    metric.name: metric
    for metric in (
        MaskedMetric("mass-inside", same_share),
        MaskedMetric("pointing", same_side, thresholds=False),
    )
}


def mask_agreement(reference: Map, candidate: Map, mask: Mask) -> dict[str, float]:
    """All of these metrics."""
    return {name: metric.measure(reference, candidate, mask) for name, metric in MASKED.items()}
