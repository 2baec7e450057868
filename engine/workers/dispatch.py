"""Shards given to workers, never too many at a time; what workers die of is found and set aside."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from .piece import Piece

__all__ = ["Executor", "Task", "Work", "WorkerDied", "dispatch", "in_this_process"]

T = TypeVar("T")

LIVES = 2  # workers that may die of a piece before it is split, or its only sample is set aside

Work = tuple[Callable[..., T], tuple[Any, ...]]  # a function that can be called anywhere, and its arguments
Task = Callable[[Piece], Work[T]]
Stopped = Callable[[], bool]


class WorkerDied(Exception):
    """A worker ended before it had a result; not ``of_work`` if it had not begun with any."""

    def __init__(self, *, of_work: bool = True) -> None:
        super().__init__()
        self.of_work = of_work


class Executor(AbstractContextManager["Executor"], Protocol):
    """Workers somewhere."""

    def most(self) -> int:
        """How many shards may be in hand, at work or waiting."""
        ...

    def submit(self, work: Work[Any]) -> Hashable:
        """Gives work to a worker; what stands for its result."""
        ...

    def finished(self, flying: Collection[Any]) -> Iterable[Any]:
        """Waits until one of these has a result or an error; those that have."""
        ...

    def result(self, future: Any) -> Any:
        """The result; the error of the work, or WorkerDied."""
        ...


def in_this_process(pieces: Sequence[Piece], task: Task[T], stopped: Stopped) -> Iterator[T]:
    """One after another, here: for few samples, and to see a failure where it is."""
    for piece in pieces:
        if stopped():
            return
        work, arguments = task(piece)
        yield work(*arguments)


def dispatch(
    pieces: Sequence[Piece],
    task: Task[T],
    stopped: Stopped,
    *,
    executor: Executor,
    batch: int,
    written: Callable[[Piece], T | None],
    set_aside: Callable[[Piece], T],
) -> Iterator[T]:
    """Every piece by the executor; none is begun once ``stopped`` says so, and those in hand are finished.

    A piece that is ``written``, though its worker died, is done. One of which two workers died is split into batches,
    such a batch into samples, and such a sample goes to
    ``set_aside``. A worker may have died of a neighbour: a sample's second attempt is made while no other is in hand.
    """
    left, deaths, flying = deque(pieces), Counter[Piece](), dict[Any, Piece]()
    while flying or (left and not stopped()):
        while left and not stopped() and _has_room(left[0], flying.values(), deaths, executor):
            piece = left.popleft()
            flying[executor.submit(task(piece))] = piece
        for future in executor.finished(flying):
            piece = flying.pop(future)
            try:
                yield executor.result(future)
                continue
            except WorkerDied as death:
                deaths[piece] += death.of_work
            if (done := written(piece)) is not None:  # the worker died after its work, or of another's
                yield done
            elif deaths[piece] < LIVES:
                left.appendleft(piece)
            elif len(piece) > 1:
                left.extendleft(reversed(piece.split(batch)))
            else:
                yield set_aside(piece)


def _has_room(piece: Piece, flying: Collection[Piece], deaths: Counter[Piece], executor: Executor) -> bool:
    suspects = [one for one in (piece, *flying) if len(one) == 1 and deaths[one]]
    return not flying or (not suspects and len(flying) < executor.most())
