"""The measurement of the maps of some methods on one sample, and the mean curves of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..data.labels import Labels
from ..samples.sample import Sample
from .chosen_target import ChosenTarget
from .explainers import SharedMemory
from .masks import Masks
from .metrics.quality import Quality, area
from .metrics.quality_case import QualityCase
from .model_under_test import ModelUnderTest
from .outcomes import Outcome
from .record import Failed
from .summary import Row

__all__ = ["Curves", "MeanCurves", "MeasuredSample", "QualityRun"]

Curves = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class MeasuredSample:
    """The numbers of a sample, and its curves by metric and method."""

    row: Row
    curves: Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class QualityRun:
    """How a sample is measured: a model with its methods, its copies with random weights by the share of layers, and
    what is measured of its maps."""

    side: ModelUnderTest
    random_sides: Mapping[float, ModelUnderTest]
    metrics: Sequence[Quality]
    target: ChosenTarget
    masks: Masks | None
    seed: int
    labels: Labels
    memory: SharedMemory

    def of_methods(self, methods: Sequence[str]) -> QualityRun:
        """The same of these methods, whose explainers are open; the sessions of the model itself are shared by all."""
        side = self.side.of_methods(methods).opened()
        others = {share: other.of_methods(methods) for share, other in self.random_sides.items()}
        memory = SharedMemory(self.memory.total, [side, *others.values()])
        return replace(self, side=side, random_sides=others, memory=memory)

    def measure(self, index: int, sample: Sample) -> MeasuredSample:
        """What is measured of a sample; its random numbers are those of its index."""
        given = self.side.prepared(sample.load())
        self.memory.divide()
        found = self.side.evidence(given, self.target.of(sample))
        maps, curves = {}, dict[str, dict[str, np.ndarray]]()
        for method, values in found.maps.items():
            rng = np.random.default_rng((self.seed, index))
            subject = QualityCase(self.side, given, found.target, method, values, rng, self.random_sides)
            if self.masks is not None:
                mask = self.masks.of(sample, given, subject.plane.shape)
                subject = replace(subject, mask=mask)
            measured = {one.name: one.measure(subject) for one in self.metrics}
            for name, value in measured.items():
                if isinstance(value, np.ndarray):
                    curves.setdefault(name, {})[method] = value
            maps[method] = {name: _number(value) for name, value in measured.items() if value is not None}
        self.memory.divide()  # some sessions are opened by the metrics
        words = found.target.words(self.labels)
        return MeasuredSample(Row(sample.name, found.target.name, {}, maps, sample.label, explained=words), curves)


def _number(value: float | np.ndarray) -> float:
    return float(area(value) if isinstance(value, np.ndarray) else value)


@dataclass(frozen=True)
class MeanCurves:
    """The sums of the curves of samples by metric and method, with their counts."""

    sums: dict[str, dict[str, tuple[np.ndarray, int]]] = field(default_factory=dict)

    def add(self, one: Outcome[MeasuredSample]) -> Outcome[Row]:
        """Adds the curves of a sample and gives its row; the last digits depend on the order of the samples."""
        if isinstance(one.found, Failed):
            return Outcome(one.index, one.name, one.found, one.said)
        for name, by_method in one.found.curves.items():
            held = self.sums.setdefault(name, {})
            for method, values in by_method.items():
                total, count = held.get(method, (np.zeros_like(values), 0))
                held[method] = (total + values, count + 1)
        return Outcome(one.index, one.name, one.found.row, one.said)

    def means(self) -> Curves:
        """The mean curves."""
        return {
            name: {method: tuple((total / count).tolist()) for method, (total, count) in held.items()}
            for name, held in self.sums.items()
        }
