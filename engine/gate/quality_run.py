"""The measurement of the maps of some methods on all samples, and of every method by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..attribution.memory import parse_memory
from ..data.labels import Labels
from ..errors import OnnxrayError
from ..graph.model import Model, Source
from ..loading.load import load
from ..samples.sample import Samples
from ..workers.chosen_workers import ChosenWorkers
from ..workers.dispatch import Executor
from .chosen_target import ChosenTarget
from .explainers import SharedMemory
from .layers.randomise import randomised
from .masks import Masks
from .measuring import measured_of
from .metrics.quality import chosen_qualities
from .model_under_test import model_under_test, options_of
from .outcomes import Measure, Outcome, measured_by_workers, measured_here, model_file, opened_for
from .quality_sample import Curves, MeanCurves, MeasuredSample, QualityRun
from .record import Failed, Progress
from .summary import Row

__all__ = ["Evaluating", "Measured", "QualityWork", "evaluating", "measured_each"]


@dataclass(frozen=True)
class Measured:
    """What was measured of some methods: rows by sample, samples that failed, mean curves by metric and method; and the
    methods that could not be measured, each with the reason."""

    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]
    curves: Curves
    unmeasured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class QualityWork:
    """An evaluation but for its samples: as workers are sent it, of some of its methods."""

    model: Source
    methods: tuple[str, ...]
    metrics: Sequence[str] | None
    target: ChosenTarget
    masks: Masks | None
    seed: int
    labels: Labels
    settings: Mapping[str, Any]
    options: Mapping[str, Any]

    def run(self, source: Model) -> QualityRun:
        """What measures the maps of all methods of the model that was loaded."""
        metrics = chosen_qualities(self.metrics)
        shares = sorted({one.randomised for one in metrics if one.randomised is not None})
        side = model_under_test(source, self.methods, options=self.options, **self.settings)
        others = {share: side.with_model(randomised(source, self.seed, share)) for share in shares}
        memory = SharedMemory(parse_memory(self.settings["memory"]), [side, *others.values()])
        return QualityRun(side, others, metrics, self.target, self.masks, self.seed, self.labels, memory)

    def opened(self) -> tuple[Measure[MeasuredSample], Model]:
        run = self.run(load(self.model)).of_methods(self.methods)
        return run.measure, run.side.model

    def sent(self, methods: Sequence[str]) -> QualityWork:
        """The same for a process in another folder, of these methods; an InputError of a model in memory."""
        masks = None if self.masks is None else self.masks.absolute()
        own = {
            name: one for name, one in self.options.items() if any(options_of(each, {name: one}) for each in methods)
        }
        return replace(self, model=model_file(self.model), masks=masks, methods=tuple(methods), options=own)


@dataclass(frozen=True)
class Evaluating:
    """The samples of an evaluation, and who measures them: this process, or the workers of an executor, which are sent
    the ``work`` and stay from one method to the next."""

    work: QualityWork
    run: QualityRun
    samples: Samples
    executor: Executor | None

    def measured(self, methods: Sequence[str], failed: Callable[[Failed], None], progress: Progress | None) -> Measured:
        """The maps of these methods on all samples."""
        curves = MeanCurves()
        rows, losses = measured_of(map(curves.add, self._outcomes(methods, progress)), failed)
        return Measured(rows, losses, curves.means())

    def _outcomes(self, methods: Sequence[str], progress: Progress | None) -> Iterator[Outcome[MeasuredSample]]:
        run = self.run.of_methods(methods)  # what is wrong with a method is said before any worker has it
        if self.executor is None:
            return measured_here(self.samples, run.measure, progress)
        self.run.memory.close()
        return measured_by_workers(self.samples, self.work.sent(methods), self.executor, progress)

    def of_one(self, method: str, progress: Progress | None) -> Measured:
        """The maps of a method, whose explainers are closed then."""
        try:
            return self.measured((method,), lambda _: None, progress)
        finally:
            self.run.memory.close()


@contextmanager
def evaluating(work: QualityWork, source: Model, samples: Samples, workers: ChosenWorkers) -> Iterator[Evaluating]:
    """Within, the model that was loaded, its samples, and the workers."""
    run = work.run(source)
    if workers.here:
        yield Evaluating(work, run, samples, None)
        return
    with opened_for(samples, workers, work.settings["threads"]) as executor:
        yield Evaluating(work, run, samples, executor)


def measured_each(
    setup: Evaluating, methods: Sequence[str], failed: Callable[[Failed], None], progress: Progress | None
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
