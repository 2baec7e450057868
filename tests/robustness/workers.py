"""A worker process with limits of memory and time; one that crashes or hangs is reported and replaced."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

__all__ = ["Worker"]

MEMORY = 6 * 2**30  # bytes of address space, of which onnxruntime takes a good part for its threads
SECONDS = 60.0


class Worker:
    """Runs one function in a process of its own, call by call."""

    def __init__(self, work: Callable[..., tuple[str, Any]], seconds: float = SECONDS) -> None:
        self._work, self._seconds = work, seconds
        self._process: Any = None
        self._pipe: Any = None
        self.starts = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def __call__(self, *arguments: Any) -> tuple[str, Any]:
        """The result of the function; ("crash", signal) or ("hang", seconds) where it returns nothing."""
        if self._process is None:
            self._start()
        try:
            self._pipe.send(arguments)
            if not self._pipe.poll(self._seconds):
                self._end()
                return "hang", f"no answer in {self._seconds:g} s"
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self._end()
            return "crash", signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        self._process.start()
        theirs.close()
        self.starts += 1

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(pipe: Connection, work: Callable[..., tuple[str, Any]]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # onnxruntime's own lines about models that it refuses
    while True:
        try:
            arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(work(*arguments))
