"""Pieces in worker processes: a worker that dies is replaced, and what it died of is found and set aside."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from ..optional import import_extra
from .explain_piece import PieceDone
from .pieces import Piece

__all__ = ["in_this_process", "in_workers"]

LIVES = 2  # workers that may die of a piece before it is split, or its only sample is set aside
AHEAD = 2  # pieces in flight for each worker

Task = tuple[Callable[..., PieceDone], tuple[Any, ...]]  # a function and its arguments
Stopped = Callable[[], bool]


def in_this_process(pieces: Sequence[Piece], task: Callable[[Piece], Task], stopped: Stopped) -> Iterator[PieceDone]:
    """One after another, here: for few samples, and to see a failure where it is."""
    for piece in pieces:
        if stopped():
            return
        work, arguments = task(piece)
        yield work(*arguments)


def in_workers(
    pieces: Sequence[Piece],
    task: Callable[[Piece], Task],
    stopped: Stopped,
    *,
    workers: int,
    batch: int,
    set_aside: Callable[[Piece], PieceDone],
) -> Iterator[PieceDone]:
    """In so many processes; no new piece is begun once ``stopped`` says so, and those in hand are finished.

    A piece of which two workers died is split into batches, such a batch into samples, and such a sample goes to
    ``set_aside``.
    """
    pebble = import_extra("pebble")
    left, deaths, flying = deque(pieces), Counter[Piece](), dict[Future[PieceDone], Piece]()
    with pebble.ProcessPool(workers, initializer=_leave_signals, context=multiprocessing.get_context("spawn")) as pool:
        while flying or (left and not stopped()):
            while left and len(flying) < AHEAD * workers and not stopped():
                piece = left.popleft()
                work, arguments = task(piece)
                flying[pool.schedule(work, args=arguments)] = piece
            for done in wait(flying, return_when=FIRST_COMPLETED).done:
                piece = flying.pop(done)
                if not isinstance(done.exception(), pebble.ProcessExpired):
                    yield done.result()
                    continue
                deaths[piece] += 1
                if deaths[piece] < LIVES:
                    left.appendleft(piece)
                elif len(piece) > 1:
                    left.extendleft(reversed(piece.split(batch)))
                else:
                    yield set_aside(piece)


def _leave_signals() -> None:
    """Ctrl-C goes to every process of a terminal; the first one decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
