"""Calibration: where an agreement lies between the noise floor and maps that share nothing.

Sanity checks for saliency maps (Adebayo et al., 2018, arXiv:1810.03292) ask whether a map changes as layers are
randomised from the top down. Here the maps of wholly randomised weights are one end of a scale. The other end is the
reference against itself: on one thread, and with noise of one grey level on its input.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from ..data.batch import Prepared
from ..errors import OnnxrayError
from .layers.randomise import randomised
from .metrics.agreement import Metric, agreement
from .model_under_test import Evidence, ModelUnderTest
from .summary import Summary

__all__ = ["Calibration", "Scale", "calibrate", "jittered"]

SAMPLES = 8
DRAWS = 2  # of randomised models
DEPTHS = (0.25, 0.5)  # shares of the layers, beside all of them
LEAST = 0.05  # between floor and ceiling: a metric that spans less tells nothing
LEVELS = 255


@dataclass(frozen=True)
class Scale:
    """The ends of a metric's scale: the floor of noise and the ceiling of disagreement, and how it gets there.

    ``cascade`` has the metric by the share of the layers, from the top, that are randomised.
    """

    method: str
    metric: str
    floor: float
    ceiling: float
    threads: float
    cascade: Mapping[str, float]

    @property
    def tells(self) -> bool:
        """Whether the metric distinguishes a learned model from a randomised one at all."""
        return abs(self.floor - self.ceiling) >= LEAST

    def place(self, value: float) -> float:
        """1 at the floor of noise and beyond, 0 at the ceiling of disagreement and beyond."""
        return float(np.clip((value - self.ceiling) / (self.floor - self.ceiling), 0, 1))


@dataclass(frozen=True)
class Calibration:
    """Scales, and where the candidate stands on them: by method, the median of its metrics."""

    scales: tuple[Scale, ...]
    samples: int
    places: Mapping[str, Mapping[str, float]]

    @property
    def scores(self) -> dict[str, float]:
        """The calibrated score of each method."""
        return {method: float(np.median(list(found.values()))) for method, found in self.places.items() if found}

    def placed(self, summary: Iterable[Summary]) -> Calibration:
        """With the candidate's means put on the scales."""
        means = {(one.method, one.metric): one.mean for one in summary}
        places: dict[str, dict[str, float]] = {scale.method: {} for scale in self.scales}
        for scale in self.scales:
            if scale.tells and (scale.method, scale.metric) in means:
                places[scale.method][scale.metric] = scale.place(means[scale.method, scale.metric])
        return Calibration(self.scales, self.samples, places)

    def to_json(self) -> dict[str, Any]:
        return {"scores": self.scores, **asdict(self)}


def calibrate(
    side: ModelUnderTest,
    inputs: Iterable[Any],
    metrics: Mapping[str, Metric],
    seed: int = 0,
    step: Callable[[str], None] = lambda _: None,
    target: Any = "top1",
) -> Calibration:
    """The scales of a model from its first samples, each compared with itself and with randomised models; all of them
    explain what the model itself settles for the target."""
    given, own = zip(*islice(_explained(side, inputs, target), SAMPLES), strict=True)
    step("calibration: noise floor")
    rng = np.random.default_rng(seed)
    noisy = _means(side, [jittered(one, rng) for one in given], own, metrics)
    single = _means(side.with_threads(1), given, own, metrics)
    cascade = {}
    for share in DEPTHS:
        step(f"calibration: {share:.0%} of the layers randomised")
        cascade[f"{share:g}"] = _random_means(side, seed, share, given, own, metrics)
    step("calibration: all layers randomised")
    drawn = [_random_means(side, seed + k, 1.0, given, own, metrics) for k in range(1, DRAWS + 1)]
    ceiling = {key: float(np.mean([one[key] for one in drawn])) for key in noisy}
    scales = tuple(
        Scale(*key, floor, ceiling[key], single[key], {share: found[key] for share, found in cascade.items()})
        for key, floor in noisy.items()
    )
    return Calibration(scales, len(given), {})


def jittered(given: Prepared, rng: np.random.Generator) -> Prepared:
    """The input with noise of one grey level: a 255th of a picture's range, of each number of a vector."""
    feeds = {name: _noisy(array, rng) for name, array in given.batch.feeds.items()}
    return Prepared(type(given.batch)(feeds, given.batch.axes, given.batch.fixed), given.pictures, given.preprocess)


def _noisy(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    level = (np.ptp(array) if array.ndim > 2 else np.abs(array)) / LEVELS
    return (array + level * rng.standard_normal(array.shape)).astype(array.dtype)


def _explained(side: ModelUnderTest, inputs: Iterable[Any], target: Any) -> Iterator[tuple[Prepared, Evidence]]:
    """The samples that can be read and have the target, explained; the others are reported elsewhere."""
    for load in inputs:
        try:
            given = side.prepared(load())
            yield given, side.evidence(given, target)
        except OnnxrayError:
            continue


def _random_means(
    side: ModelUnderTest,
    seed: int,
    share: float,
    given: Sequence[Prepared],
    own: Sequence[Evidence],
    metrics: Mapping[str, Metric],
) -> dict[tuple[str, str], float]:
    """The same with random weights in a share of the layers; what such maps would warn of is none of the model's."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return _means(side.with_model(randomised(side.model, seed, share)), given, own, metrics)


def _means(
    side: ModelUnderTest, given: Sequence[Prepared], own: Sequence[Evidence], metrics: Mapping[str, Metric]
) -> dict[tuple[str, str], float]:
    """By method and metric, the mean agreement of a side's maps with those that are known."""
    found: dict[tuple[str, str], list[float]] = {}
    for one, known in zip(given, own, strict=True):
        other = side.evidence(one, known.target.again)
        for method, map_ in known.maps.items():
            for metric, value in agreement(map_, other.maps[method], metrics).items():
                found.setdefault((method, metric), []).append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}
