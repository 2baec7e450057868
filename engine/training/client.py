"""The caller's side of the worker: a pipe, a deadline, and one line for whatever kills the child."""

from __future__ import annotations

import atexit
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from ..errors import BuilderError
from .install import find

__all__ = ["Limits", "Refused", "Worker", "worker"]

_SCRIPT = Path(__file__).with_name("worker.py")
_REMEDY = "builder='portable' needs no training build"


class Refused(BuilderError):
    """The library itself refused, in words of its own; its process lives on."""


@dataclass(frozen=True)
class Limits:
    """How long one request may take, in seconds, and how much memory the child may ask for, in bytes."""

    seconds: float = 600.0
    memory: int = 0

    @property
    def bytes(self) -> int:
        """By default what the machine has."""
        return self.memory or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(eq=False)
class Worker:
    """A child process with onnxruntime-training; started by the first request, and again by the next one if it died."""

    limits: Limits = Limits()
    _process: subprocess.Popen[bytes] | None = None
    _pipe: Connection | None = None
    _noise: IO[bytes] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    dropped: list[int] = field(default_factory=list)  # keys of sessions that nobody holds any more
    starts: int = 0

    def ask(self, verb: str, *arguments: Any, about: str) -> Any:
        """The child's answer; BuilderError where it refuses, dies or takes too long. ``about`` names the model."""
        with self._lock:
            pipe = self._started()
            try:
                self._drop(pipe)
                pipe.send((verb, *arguments))
                if not pipe.poll(self.limits.seconds):
                    raise TimeoutError
                kind, result = pipe.recv()
            except TimeoutError:
                self._end()
                raise BuilderError(
                    f"onnxruntime-training gave no answer in {self.limits.seconds:g} s {about}; {_REMEDY}"
                ) from None
            except (EOFError, OSError):
                raise BuilderError(f"onnxruntime-training {self._cause_of_death()} {about}; {_REMEDY}") from None
        if kind == "error":
            raise Refused(f"onnxruntime-training refused {about}: {_first_line(result)}; {_REMEDY}")
        return result

    def _drop(self, pipe: Connection) -> None:
        """Frees what the child holds for sessions that are gone, which cannot ask while they are collected."""
        while self.dropped:
            pipe.send(("close", self.dropped.pop()))
            if not pipe.poll(self.limits.seconds):
                raise TimeoutError
            pipe.recv()

    def close(self) -> None:
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def _started(self) -> Connection:
        if self._pipe is None or self._process is None or self._process.poll() is not None:
            self._end()
            self._pipe = self._start()
        return self._pipe

    def _start(self) -> Connection:
        folder = find()
        ours, theirs = Pipe()
        environment = dict(os.environ)
        if folder:
            environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [environment.get("PYTHONPATH")])])
        command = [sys.executable, "-P", str(_SCRIPT), str(theirs.fileno()), str(self.limits.bytes)]
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115  as long as the child
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self._noise, stderr=self._noise,
            pass_fds=[theirs.fileno()],
        )  # fmt: skip
        self.starts += 1
        self.dropped.clear()
        weakref.finalize(self, _kill, self._process)
        theirs.close()
        return ours

    def _end(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
        if self._process:
            self._process.wait()
        for stream in (self._pipe, self._noise):
            if stream:
                stream.close()
        self._process = self._pipe = self._noise = None

    def _cause_of_death(self) -> str:
        code = self._process.wait() if self._process else 0
        said = self._last_words()
        self._end()
        if code < 0:
            return f"died of {signal.Signals(-code).name}{said}"
        return f"ended with exit code {code}{said}"

    def _last_words(self) -> str:
        """The last of the errors that the library printed."""
        if self._noise is None:
            return ""
        self._noise.seek(0)
        lines = self._noise.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if "[E:" in line or "what():" in line or "Error:" in line]
        return f" ({errors[-1].strip()})" if errors else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the child with the worker that started it."""
    if process.poll() is None:
        process.kill()
        process.wait()


def _first_line(text: str) -> str:
    """The library's message without its prefixes and where in its sources it comes from."""
    lines = [line for line in text.splitlines() if line.strip()] or ["no reason given"]
    plain = re.sub(r".*?(\[ONNXRuntimeError\] : \d+ : \w+ : | was false\. )", "", lines[0])
    return re.sub(r"^/\S+:\d+ .*?\) ", "", plain).strip() or lines[0]


@cache
def worker() -> Worker:
    """The one worker of this process."""
    one = Worker()
    atexit.register(one.close)
    return one
