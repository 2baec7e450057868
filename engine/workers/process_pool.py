"""Worker processes of this machine, each of which is replaced when it dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from ..errors import RuntimeUnavailable
from .dispatch import Executor, Work, WorkerDied

__all__ = ["ProcessPool"]

UNGUARDED = "in a script, call this below if __name__ == '__main__': each of them imports the script"
TRIES = 3  # processes in a row that end before they take any work


class ProcessPool(Executor):
    """So many pools of one process each, with one piece in hand: what a process dies of is known.

    A process that is killed may leave a lock of its pool's pipes taken for ever. No other process waits for that lock,
    and a new pool takes the place of its own.
    """

    def __init__(self, workers: int) -> None:
        self._places = [_Place() for _ in range(workers)]
        self._at_work: dict[Future[Any], _Place] = {}
        self._never_began = 0

    def __exit__(self, *problem: object) -> None:
        """After an error, of which a signal is one, what is in hand is given up.

        Each pool is waited for: Python wakes those that are left at its end, by a pipe that they may be closing.
        """
        if any(problem):
            for place in self._places:
                place.line.close()
        with ThreadPoolExecutor(len(self._places)) as ends:
            list(ends.map(_Place.close, self._places))

    def most(self) -> int:
        return len(self._places)

    def submit(self, work: Work[Any]) -> Future[Any]:
        busy = Counter(place for future, place in self._at_work.items() if not future.done())
        place = min(self._places, key=lambda one: busy[one])  # all are, where an error left pieces in hand
        future = place.submit(work)
        self._at_work[future] = place
        return future

    def finished(self, flying: Collection[Future[Any]]) -> Iterable[Future[Any]]:
        return wait(flying, return_when=FIRST_COMPLETED).done

    def result(self, future: Future[Any]) -> Any:
        began = self._at_work.pop(future).began()
        self._never_began = 0 if began else self._never_began + 1
        try:
            return future.result()
        except BrokenProcessPool as error:
            if self._never_began >= TRIES:
                raise RuntimeUnavailable(f"the worker processes ended as they began: {UNGUARDED}") from error
            raise WorkerDied(of_work=began) from error


class _Place:
    """A pool of one process, and another one after its death; the process ends when ``line`` is closed."""

    def __init__(self) -> None:
        self.open()

    def open(self) -> None:
        """A new pool, whose process starts with its first piece."""
        context = multiprocessing.get_context("spawn")
        self.line, end = context.Pipe()
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(end,))

    def close(self) -> None:
        self.pool.shutdown()

    def began(self) -> bool:
        """Whether the process came as far as its work."""
        return self.line.poll()

    def submit(self, work: Work[Any]) -> Future[Any]:
        try:
            return self.pool.submit(work[0], *work[1])
        except BrokenProcessPool:
            self.close()
            self.open()
            return self.pool.submit(work[0], *work[1])


def _begin(line: Connection) -> None:
    """Ctrl-C goes to every process of a terminal; the first one decides, and none outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(line,), daemon=True).start()
    with suppress(OSError):  # it is closed already
        line.send(True)


def _end_with(line: Connection) -> None:
    """Nothing is ever sent: the first process closes the line, or is killed, and a worker would wait or work on."""
    with suppress(EOFError, OSError):
        line.recv()
    os._exit(1)
