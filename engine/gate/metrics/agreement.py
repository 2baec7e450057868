"""How far two maps of one input agree: a metric is a function of two arrays of one shape.

Maps are taken as they came from the method, signed, (C, H, W), (H, W) or (features,). Those metrics that ask where the
evidence lies, and not which way it points, take its strength: magnitudes, the largest of the channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...optional import import_extra
from ...support.choice import choose
from .attribution_map import AttributionMap, Map, strength

__all__ = ["METRICS", "TOP_SHARE", "Metric", "agreement", "chosen_metrics", "strength"]

TOP_SHARE = 0.1  # of the elements: how many count as the top
SSIM_SIDE = 7  # scikit-image's window; a smaller map gets the largest odd one that fits


@dataclass(frozen=True)
class Metric:
    """A measure of agreement.

    ``perfect`` is its value for equal maps, ``unrelated`` its value for maps that share nothing; ``title`` names it in
    a report. ``least_side``: it is measured on maps of two axes alone, of at least so many elements each; 0: on all.
    """

    name: str
    measure: Callable[[AttributionMap, AttributionMap], float]
    perfect: float
    unrelated: float
    title: str = ""
    least_side: int = 0

    @property
    def rises(self) -> bool:
        """Whether more is better."""
        return self.perfect > self.unrelated

    def measures(self, shape: Sequence[int]) -> bool:
        """Whether it is measured on maps whose strength has this shape."""
        return not self.least_side or (len(shape) == 2 and min(shape) >= self.least_side)

    def __call__(self, reference: Map, candidate: Map) -> float:
        """The agreement; perfect for equal maps even where a formula divides by zero, ``unrelated`` where it has no
        value."""
        return (
            self.perfect
            if np.array_equal(reference, candidate)
            else self.of(AttributionMap(reference), AttributionMap(candidate))
        )

    def of(self, reference: AttributionMap, candidate: AttributionMap) -> float:
        """The agreement of maps that differ."""
        with np.errstate(all="ignore"):
            value = self.measure(reference, candidate)
        return float(value) if np.isfinite(value) else self.unrelated


def spearman(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Rank correlation of the signed values (Spearman, 1904; of maps: Adebayo et al., 2018, arXiv:1810.03292)."""
    return 1 - _distance(reference.ranks, candidate.ranks, "correlation")


def cosine(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Cosine of the angle between the signed values."""
    return 1 - _distance(reference.values, candidate.values, "cosine")


def ssim(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Structural similarity of the strengths, each scaled to 0..1 (Wang et al., 2004, doi:10.1109/TIP.2003.819861)."""
    a, b = (one.strength / (one.strength.max() or 1.0) for one in (reference, candidate))
    side = min(SSIM_SIDE, *a.shape)
    return import_extra("skimage.metrics").structural_similarity(a, b, data_range=1.0, win_size=side - (side + 1) % 2)


def top_iou(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Intersection over union of the strongest tenth of the elements (Jaccard, 1901; as in Ghorbani et al., 2017,
    arXiv:1710.10547, who take the intersection alone)."""
    a, b = (_top(one.strength) for one in (reference, candidate))
    return float((a & b).sum() / (a | b).sum())


def relative_l2(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Euclidean norm of the difference over that of the reference; the only metric that sees a change of scale."""
    return _distance(reference.values, candidate.values, "euclidean") / np.sqrt(np.square(reference.values).sum())


def sign_agreement(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Share of the reference's evidence whose sign the candidate keeps (sign agreement of Krishna et al., 2022,
    arXiv:2202.01602, over all elements and weighted by their magnitude, so that noise near zero does not count)."""
    a, b = reference.values, candidate.values
    weight, kept = np.abs(a), (np.signbit(a) == np.signbit(b)) & (b != 0)
    return float((weight * kept).sum() / weight.sum())


def centre_distance(reference: AttributionMap, candidate: AttributionMap) -> float:
    """Distance of the centres of mass of the strengths, as a share of the map's diagonal."""
    centre, shape = import_extra("scipy.ndimage").center_of_mass, reference.strength.shape
    apart = np.subtract(centre(reference.strength), centre(candidate.strength))
    return float(np.linalg.norm(apart) / np.linalg.norm(np.subtract(shape, 1)))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("spearman", spearman, 1.0, 0.0),
        Metric("cosine", cosine, 1.0, 0.0),
        Metric("ssim", ssim, 1.0, 0.0, least_side=3),
        Metric("top-iou", top_iou, 1.0, 0.0),
        Metric("relative-l2", relative_l2, 0.0, 1.0),
        Metric("sign-agreement", sign_agreement, 1.0, 0.0),
        Metric("centre-distance", centre_distance, 0.0, 1.0, least_side=1),
    )
}


def agreement(reference: Map, candidate: Map, names: Mapping[str, Metric]) -> dict[str, float]:
    """The metrics that can be taken of such maps."""
    a, b = AttributionMap(reference), AttributionMap(candidate)
    kept = {name: metric for name, metric in names.items() if metric.measures(a.strength.shape)}
    same = np.array_equal(reference, candidate)
    return {name: metric.perfect if same else metric.of(a, b) for name, metric in kept.items()}


def chosen_metrics(names: Sequence[str] | None) -> dict[str, Metric]:
    """Metrics by name, all by default; an unknown one is an InputError that lists them."""
    return {name: METRICS[name] for name in (choose(one, METRICS, "metric") for one in names or METRICS)}


def _distance(a: Map, b: Map, kind: str) -> float:
    """A distance of scipy.spatial; by ``cdist``, which is without BLAS, whose threads wait for those of the runtime."""
    return import_extra("scipy.spatial.distance").cdist(a.reshape(1, -1), b.reshape(1, -1), kind)[0, 0]


def _top(plane: Map) -> NDArray[np.bool_]:
    """Where the strongest elements are, of those that are not zero."""
    count = max(1, round(plane.size * TOP_SHARE))
    flat = plane.ravel()
    top = np.zeros(flat.size, bool)
    top[np.argpartition(flat, flat.size - count)[flat.size - count :]] = True
    return top & (flat > 0)
