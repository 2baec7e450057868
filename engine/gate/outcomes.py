"""The samples of a comparison or an evaluation, measured one after another: in this process, or by workers."""

from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ..errors import InputError, ModelError, OnnxrayError, OutputError, RuntimeUnavailable
from ..graph.model import Model
from ..samples.locations import Location
from ..samples.reader import Reader
from ..samples.sample import Sample, Samples
from ..workers.chosen_workers import ChosenWorkers, pickled
from ..workers.dispatch import Executor, Work, dispatch
from ..workers.piece import Piece, cut
from .record import Failed, Progress
from .sample_warnings import Said, noted

__all__ = [
    "GateWork",
    "Measure",
    "Measured",
    "Outcome",
    "measured_by_workers",
    "measured_here",
    "model_file",
    "opened_for",
]

T = TypeVar("T")
Measure = Callable[[int, Sample], T]  # what is measured of the sample of an index
TOGETHER = 4  # samples that a worker measures at a time


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of the sample of an index: what was measured, or why it was not; and what was warned of."""

    index: int
    name: str
    found: T | Failed
    said: tuple[Said, ...] = ()


class GateWork(Protocol):
    """What a worker is sent once: it opens the models, and gives what measures a sample, and a model that takes it."""

    def opened(self) -> tuple[Measure[Any], Model]: ...


@dataclass(frozen=True)
class Measured:
    """A sample as a worker is sent it: where it is, or what it holds if it is in memory."""

    index: int
    name: str
    label: int | None
    path: Path | None
    location: Location | None
    given: Any = None

    def sample(self, reader: Reader) -> Sample:
        """The sample, which is read from where it is."""
        load = (lambda: self.given) if self.location is None else partial(_read, reader, self.location)
        return Sample(self.name, load, self.label, self.path)


def measured_here(samples: Samples, measure: Measure[T], progress: Progress | None) -> Iterator[Outcome[T]]:
    """The outcome of each sample, in order, in this process."""
    for index, sample in enumerate(samples):
        if progress:
            progress(sample.name, index / len(samples))
        yield _outcome(index, sample, measure)


def _outcome(index: int, sample: Sample, measure: Measure[T]) -> Outcome[T]:
    """Raises what is wrong with a model, an output file or a runtime; anything else is the sample's."""
    with noted() as said:
        try:
            found: T | Failed = measure(index, sample)
        except (ModelError, OutputError, RuntimeUnavailable):
            raise
        except (OnnxrayError, OSError) as error:
            found = Failed(sample.name, " ".join(str(error).split()))
    return Outcome(index, sample.name, found, tuple(said))


@dataclass
class _Sent(Generic[T]):
    """The samples that are not known yet, as workers are sent them."""

    work: bytes
    todo: list[tuple[int, Sample]] = field(default_factory=list)

    def task(self, piece: Piece) -> Work[list[Outcome[T]]]:
        return measure_piece, ([_sent(*one) for one in self.todo[piece.start : piece.stop]], self.work)

    def set_aside(self, piece: Piece) -> list[Outcome[T]]:
        index, sample = self.todo[piece.start]
        return [Outcome(index, sample.name, Failed(sample.name, "the worker process died of this sample, twice"))]


def opened_for(samples: Samples, workers: ChosenWorkers, threads: int | None) -> Executor:
    """The executor, with no more processes than the samples are for."""
    return workers.opened(threads, -(-len(samples) // TOGETHER))


def measured_by_workers(
    samples: Samples,
    work: GateWork,
    executor: Executor,
    progress: Progress | None,
    known: Callable[[int, Sample], T | None] = lambda index, sample: None,
    keep: Callable[[int, Sample, T], None] = lambda index, sample, found: None,
) -> Iterator[Outcome[T]]:
    """The same outcomes, in order, by workers, of samples that are not ``known``; ``keep`` gets each as it comes."""
    sent, ready = _Sent[T](pickled(work)), dict[int, Outcome[T]]()
    for index, sample in enumerate(samples.located()):
        if (held := known(index, sample)) is not None:
            ready[index] = Outcome(index, sample.name, held)
        else:
            sent.todo.append((index, sample))
    by_index, following, done = dict(sent.todo), 0, len(ready)
    for found in _dispatched(sent, executor):
        for one in found:
            if not isinstance(one.found, Failed):
                keep(one.index, by_index[one.index], one.found)
            ready[one.index], done = one, done + 1
            if progress:
                progress(one.name, done / len(samples))
        while following in ready:
            yield ready.pop(following)
            following += 1
    yield from (ready[index] for index in sorted(ready))


def _dispatched(sent: _Sent[T], executor: Executor) -> Iterator[list[Outcome[T]]]:
    pieces = list(cut(0, len(sent.todo), TOGETHER))
    return dispatch(
        pieces, sent.task, lambda: False, executor=executor, batch=1, written=lambda piece: None,
        set_aside=sent.set_aside,
    )  # fmt: skip


def _sent(index: int, sample: Sample) -> Measured:
    path = None if sample.path is None else sample.path.absolute()
    given = sample.load() if sample.location is None else None
    return Measured(index, sample.name, sample.label, path, sample.location, given)


_one_at_a_time = threading.Lock()  # a Dask worker may have several threads, and warnings are of the whole process


def measure_piece(samples: Sequence[Measured], work: bytes) -> list[Outcome[Any]]:
    """The outcomes of some samples, in a worker."""
    with _one_at_a_time:
        measure, reader = _opened(work)
        return [_outcome(one.index, one.sample(reader), measure) for one in samples]


@lru_cache(maxsize=1)
def _opened(work: bytes) -> tuple[Measure[Any], Reader]:
    """What pickled work opens; the last one stays open. The first process has said what is to be said of the models."""
    _opened.cache_clear()  # the sessions of the work before end first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measure, model = pickle.loads(work).opened()
    return measure, Reader(model)


def _read(reader: Reader, location: Location) -> Any:
    return reader.read(location).given


def model_file(given: Any) -> Path:
    """The file of a model, which workers open themselves; an InputError of a model in memory."""
    if not isinstance(given, str | Path) and not hasattr(given, "__fspath__"):
        raise InputError(
            f"a model of {type(given).__name__}: workers open it themselves; give the path of an .onnx file"
        )
    return Path(given).absolute()
