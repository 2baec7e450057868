"""The measurement of the maps of some methods on all samples, and of every method by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..data.labels import Labels
from ..errors import OnnxrayError
from ..samples.sample import Sample, Samples
from ..support.heap import release
from .chosen_target import ChosenTarget
from .explainers import SharedMemory
from .masks import Masks
from .measuring import measure_samples
from .metrics.quality import Quality, area
from .metrics.quality_case import QualityCase
from .model_under_test import ModelUnderTest
from .record import Failed, Progress
from .summary import Row

__all__ = ["Measured", "QualitySetup", "measured_each"]

Curves = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class Measured:
    """What was measured of some methods: rows by sample, samples that failed, mean curves by metric and method; and the
    methods that could not be measured, each with the reason."""

    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]
    curves: Curves
    unmeasured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class QualitySetup:
    """A model with all methods, its copies with random weights by the share of layers, the samples, and what is
    measured of its maps. The sessions of the model itself, which one method opens, are those of the others, too."""

    side: ModelUnderTest
    random_sides: Mapping[float, ModelUnderTest]
    metrics: Sequence[Quality]
    samples: Samples
    target: ChosenTarget
    masks: Masks | None
    seed: int
    labels: Labels
    memory: int

    def measured(self, methods: Sequence[str], failed: Callable[[Failed], None], progress: Progress | None) -> Measured:
        """The maps of these methods on all samples."""
        side = self.side.of_methods(methods).opened()
        others = {share: other.of_methods(methods) for share, other in self.random_sides.items()}
        memory = SharedMemory(self.memory, [side, *others.values()])
        run = _QualityRun(side, others, self.metrics, self.target, self.masks, self.seed, self.labels, memory)
        rows, losses = measure_samples(self.samples, run.row, failed, progress)
        return Measured(rows, losses, run.means())

    def of_one(self, method: str, progress: Progress | None) -> Measured:
        """The maps of a method, whose explainers are closed then."""
        try:
            return self.measured((method,), lambda _: None, progress)
        finally:
            for side in (self.side, *self.random_sides.values()):
                side.explainers.opened.clear()
            release()


@dataclass
class _QualityRun:
    """How a sample is measured, and the sums of its curves with their counts."""

    side: ModelUnderTest
    random_sides: Mapping[float, ModelUnderTest]
    metrics: Sequence[Quality]
    target: ChosenTarget
    masks: Masks | None
    seed: int
    labels: Labels
    memory: SharedMemory
    sums: dict[str, dict[str, tuple[np.ndarray, int]]] = field(default_factory=dict)

    def row(self, index: int, sample: Sample) -> Row:
        given = self.side.prepared(sample.load())
        self.memory.divide()
        found = self.side.evidence(given, self.target.of(sample))
        maps = {}
        for method, values in found.maps.items():
            rng = np.random.default_rng((self.seed, index))
            subject = QualityCase(self.side, given, found.target, method, values, rng, self.random_sides)
            if self.masks is not None:
                mask = self.masks.of(sample, given, subject.plane.shape)
                subject = replace(subject, mask=mask)
            measured = {one.name: self._measure(subject, one) for one in self.metrics}
            maps[method] = {name: float(value) for name, value in measured.items() if value is not None}
        self.memory.divide()  # some sessions are opened by the metrics
        return Row(sample.name, found.target.name, {}, maps, sample.label, explained=found.target.words(self.labels))

    def _measure(self, subject: QualityCase, quality: Quality) -> float | None:
        values = quality.measure(subject)
        if not isinstance(values, np.ndarray):
            return values
        held = self.sums.setdefault(quality.name, {})
        total, count = held.get(subject.method, (np.zeros_like(values), 0))
        held[subject.method] = (total + values, count + 1)
        return area(values)

    def means(self) -> Curves:
        """The mean curves."""
        return {
            name: {method: tuple((total / count).tolist()) for method, (total, count) in held.items()}
            for name, held in self.sums.items()
        }


def measured_each(
    methods: Sequence[str], setup: QualitySetup, failed: Callable[[Failed], None], progress: Progress | None
) -> Measured:
    """Every method by itself: one that cannot run, or loses a sample that another method measured, is left out, and its
    reason is kept. Raises the first error if no method could be measured."""
    found: dict[str, Measured] = {}
    errors: dict[str, OnnxrayError] = {}
    for k, method in enumerate(methods):
        try:
            found[method] = setup.of_one(method, _part(progress, method, k, len(methods)))
        except OnnxrayError as error:
            errors[method] = error
    if not found:
        raise next(iter(errors.values()))
    most = max(found.values(), key=lambda one: len(one.rows))
    lost = {one.name for one in most.failed}
    reasons = {method: " ".join(str(error).split()) for method, error in errors.items()}
    reasons |= {
        method: next(str(sample) for sample in one.failed if sample.name not in lost)
        for method, one in found.items()
        if [row.name for row in one.rows] != [row.name for row in most.rows]
    }
    kept = {method: one for method, one in found.items() if method not in reasons}
    for one in most.failed:
        failed(one)
    return Measured(_joined([one.rows for one in kept.values()]), most.failed, _merged(kept.values()),
                    {method: reasons[method] for method in methods if method in reasons})  # fmt: skip


def _part(progress: Progress | None, method: str, k: int, count: int) -> Progress | None:
    return None if progress is None else lambda name, share: progress(f"{method}: {name}", (k + share) / count)


def _joined(parts: Sequence[tuple[Row, ...]]) -> tuple[Row, ...]:
    """The rows of each sample as one, with the maps of all."""
    return tuple(
        replace(rows[0], maps={method: found for row in rows for method, found in row.maps.items()})
        for rows in zip(*parts, strict=True)
    )


def _merged(parts: Iterable[Measured]) -> Curves:
    curves: dict[str, dict[str, tuple[float, ...]]] = {}
    for part in parts:
        for name, held in part.curves.items():
            curves.setdefault(name, {}).update(held)
    return curves
