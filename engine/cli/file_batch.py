"""Work on many files, some at a time: one that fails is reported, the others are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..errors import ModelError, OnnxrayError, OutputError, RuntimeUnavailable
from ..support.writing import disk_is_full

__all__ = ["Failure", "FileTask", "Outcome", "RowProgress", "Work", "each_file"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
RowProgress = Callable[[int, int], None]  # called with rows done and rows in all


@dataclass(frozen=True)
class FileTask:
    """A file to be done, the stem of its results, its path without links, the digest of its content; ``held`` is what
    was read of it."""

    file: Path
    stem: str
    source: str = ""
    digest: str = ""
    held: Any = None


@dataclass(frozen=True)
class Failure:
    """A file that could not be done."""

    task: FileTask
    error: OnnxrayError

    @property
    def file(self) -> Path:
        return self.task.file

    def __str__(self) -> str:
        text = str(self.error)
        return text if str(self.file) in text else f"{self.file}: {text}"


class Work(Protocol[T_co]):
    """What is done with files."""

    def read(self, file: Path) -> Any:
        """What of a file can be done together with others; None where the file is done by itself."""

    def is_full(self, held: Sequence[Any]) -> bool:
        """Whether so many, as ``read`` gave them, are done at once."""
        ...

    def __call__(
        self, tasks: Sequence[FileTask], progress: RowProgress | None = None
    ) -> Iterator[tuple[FileTask, Iterator[T_co]]]:
        """The results of each file, whose iterator raises what is wrong with this one file."""
        ...


@dataclass
class Outcome:
    """What became of the files: callbacks for one that failed, for one whose results are whole, and after some that
    were done together; how many were done, failed and were skipped."""

    report: Callable[[Failure], None] = lambda _: None
    finished: Callable[[FileTask], None] = lambda _: None
    settle: Callable[[], None] = lambda: None
    done: int = 0
    failed: int = 0
    skipped: int = 0
    ended: bool = field(default=False, init=False)  # by an error that every file would meet
    unwritable: bool = field(default=False, init=False)

    @property
    def count(self) -> int:
        return self.done + self.failed + self.skipped

    def fail(self, task: FileTask, error: OnnxrayError) -> None:
        self.failed += 1
        self.report(Failure(task, error))
        self.unwritable |= isinstance(error, OutputError)
        self.ended |= isinstance(error, ModelError | RuntimeUnavailable) or disk_is_full(error)

    def finish(self, task: FileTask) -> None:
        self.done += 1
        self.finished(task)

    def settled(self) -> None:
        """Where a result could not be written, what ``settle`` writes cannot be either, and that is told already."""
        try:
            self.settle()
        except OutputError:
            if not self.unwritable:
                raise
            self.ended = True


def each_file(
    tasks: Iterable[FileTask], work: Work[T], outcome: Outcome, step: Callable[[str, float, int], None]
) -> Iterator[tuple[FileTask, T]]:
    """Yields the results of ``work`` on files; what becomes of each file is told to ``outcome``.

    An error that is not about one file (no such layer, no runtime, a full disk) ends the rest, as it would meet every
    one of them.
    """
    for some in _together(tasks, work, outcome, step):
        for task, results in work(some, _progress(step, some, outcome.count)):
            try:
                for result in results:
                    yield task, result
            except OnnxrayError as error:
                outcome.fail(task, error)
            else:
                outcome.finish(task)
            if outcome.ended:
                break
        outcome.settled()
        step(some[-1].file.name, outcome.count, outcome.count)
        if outcome.ended:
            return


def _progress(step: Callable[[str, float, int], None], some: Sequence[FileTask], begun: int) -> RowProgress:
    def report(rows: int, all_rows: int) -> None:
        step(some[0].file.name, begun + len(some) * rows / all_rows, begun)

    report(0, 1)
    return report


def _together(
    tasks: Iterable[FileTask], work: Work[Any], outcome: Outcome, step: Callable[[str, float, int], None]
) -> Iterator[list[FileTask]]:
    """The files that can be read, those in a row that can be done together in one list."""
    some: list[FileTask] = []
    for task in tasks:
        step(task.file.name, outcome.count, outcome.count)
        try:
            held = work.read(task.file)
        except OnnxrayError as error:
            outcome.fail(task, error)
            outcome.settled()
            if outcome.ended:
                break
            continue
        if held is None:
            yield from ([some] if some else [])
            some = []
            yield [task]
        else:
            some.append(replace(task, held=held))
            if work.is_full([one.held for one in some]):
                yield some
                some = []
    if some:
        yield some
