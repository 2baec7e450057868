"""Worker processes of this machine, each of which is replaced when it dies."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ..errors import RuntimeUnavailable
from ..optional import import_extra
from .dispatch import AHEAD, Executor, Work, WorkerDied

__all__ = ["ProcessPool"]

UNGUARDED = "in a script, call this below if __name__ == '__main__': each of them imports the script"


class ProcessPool(Executor):
    """So many processes, by pebble: the standard library's pool is lost with its first worker that dies."""

    def __init__(self, workers: int) -> None:
        self._workers, self._pebble = workers, import_extra("pebble")
        context = multiprocessing.get_context("spawn")
        self._pool: Any = self._pebble.ProcessPool(workers, initializer=_leave_signals, context=context)

    def __exit__(self, *problem: object) -> None:
        self._pool.__exit__(*problem)

    def most(self) -> int:
        return AHEAD * self._workers

    def submit(self, work: Work[Any]) -> Future[Any]:
        return self._pool.schedule(work[0], args=work[1])

    def finished(self, flying: Collection[Future[Any]]) -> Iterable[Future[Any]]:
        return wait(flying, return_when=FIRST_COMPLETED).done

    def result(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except self._pebble.ProcessExpired as error:
            raise WorkerDied from error
        except BrokenProcessPool as error:
            raise RuntimeUnavailable(f"the worker processes ended as they began: {UNGUARDED}") from error


def _leave_signals() -> None:
    """Ctrl-C goes to every process of a terminal; the first one decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
