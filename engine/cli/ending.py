"""How a command ends: its exit code, and an answer to Ctrl-C and SIGTERM within two seconds, wherever it is."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..errors import OnnxrayError
from ..support.writing import Record
from .terminal import say_error

__all__ = [
    "CLOSED",
    "TRACEBACK",
    "Interrupted",
    "answering_signals",
    "finishing_at_a_signal",
    "interruption",
    "leaving_signals",
    "opened_streams",
    "say_failure",
    "settled_streams",
]

ERROR, UNEXPECTED = 2, 3  # 0: done; 1: a check failed, or some of several inputs failed
CLOSED = 141  # the reader of stdout has gone: the code of a program that SIGPIPE ended
KINDS = {int(signal.SIGINT): "interrupted", int(signal.SIGTERM): "terminated"}
TRACEBACK = "--traceback"
FULL = frozenset({errno.EDQUOT, errno.EFBIG, errno.ENOSPC})  # no room is left, or none for this user or file
GRACE = 1.0  # seconds in which Python code has to unwind; native code never does


def say_failure(error: Exception | str) -> int:
    """One line for whatever ended a command, and the exit code; a text is said as it is."""
    if isinstance(error, MemoryError):
        error = "out of memory; give --memory a smaller size, or explain fewer samples at once"
    if isinstance(error, OSError) and error.errno in FULL:  # where a library writes, as rich does for --help
        error = f"{error.filename or 'stdout or a temporary file'} cannot be written: {error.strerror}"
    if isinstance(error, PermissionError) and error.filename:  # of a folder that this user may not look into
        error = f"{error.filename}: {error.strerror}; allow this user to read and search its folder"
    if isinstance(error, str | OnnxrayError):
        say_error(error)
        return ERROR
    what = f"{type(error).__name__}: {error}; this is a bug of onnxray"
    say_error(f"{what}, and {TRACEBACK} at the end of the same line shows where", "unexpected error")
    return UNEXPECTED


class Interrupted(BaseException):
    """SIGINT or SIGTERM came; nothing but the end of a command catches it."""

    def __init__(self, number: int = int(signal.SIGINT)) -> None:
        super().__init__(number)
        self.number = number

    @property
    def kind(self) -> str:
        return KINDS[self.number]

    @property
    def code(self) -> int:
        """As shells have it: 130 or 143."""
        return 128 + self.number


def interruption(record: Record) -> str:
    """The files that were written before an interruption, and how to go on, in one line."""
    written = record.written
    folders = ", ".join(sorted({str(path.parent) for path in written}))
    files = f"{written[0]} was written" if len(written) == 1 else f"{len(written)} files were written in {folders}"
    done = ", ".join(filter(None, [record.progress, files if written else "nothing was written"]))
    return f"{done}; {record.way_on}" if record.way_on else done


@contextmanager
def answering_signals(record: Record) -> Iterator[None]:
    """Raises Interrupted at the first signal; ends the process where that has no effect in time, or at a second one.

    A signal handler of Python runs when native code returns, which may take minutes: onnxruntime cannot be interrupted
    while it loads a model. So a thread, which is notified of the signal at once, removes what is half written and ends
    the process. Files are written by rename, so that none is left in halves.
    """
    heard, wakes = socket.socketpair()
    wakes.setblocking(False)
    watch = _Watch(record, heard)
    ours = [one for one in KINDS if signal.getsignal(one) is not signal.SIG_IGN]  # as nohup leaves it
    for one in ours:
        signal.signal(one, watch.raise_once)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=watch.run, daemon=True).start()
    try:
        yield
    finally:
        watch.ended.set()
        for one in ours:
            signal.signal(one, signal.SIG_DFL)  # the rest is the interpreter's own end
        signal.set_wakeup_fd(-1)


@dataclass
class _Watch:
    """Waits for signals in a thread of its own; ``stderr`` is kept, as converters redirect what native code prints."""

    record: Record
    heard: socket.socket
    stderr: int = field(default_factory=lambda: os.dup(2))
    ended: threading.Event = field(default_factory=threading.Event)
    raised: bool = False

    def raise_once(self, number: int, _: Any) -> None:
        if self.raised:
            self.end(number)
        self.raised = True
        raise Interrupted(number)

    def run(self) -> None:
        while data := self.heard.recv(1):
            if data[0] in KINDS and not self.ended.wait(GRACE):
                self.end(data[0])

    def end(self, number: int) -> NoReturn:
        self.record.discard()
        line = f"onnxray: {KINDS[number]}: {interruption(self.record)}\n"
        cursor = "\r\x1b[2K\x1b[?25h" if os.isatty(self.stderr) else ""  # a progress bar hides it
        with suppress(OSError):
            os.write(self.stderr, (cursor + line).encode("utf-8", "backslashreplace"))
        os._exit(128 + number)


@dataclass
class Stop:
    """Whether a signal came, and which."""

    number: int | None = None


@contextmanager
def finishing_at_a_signal() -> Iterator[Stop]:
    """Within, the first SIGINT or SIGTERM is noted only, for work that then stops where nothing is lost.

    A second one raises Interrupted. In another thread than the main one, which gets no signals, nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, _: Any) -> None:
        if stop.number is not None:
            raise Interrupted(number)
        stop.number = number
        say_error("finishing what is in hand; once more to stop at once", KINDS[number])

    watched = signal.set_wakeup_fd(-1)  # whose thread would end the process
    before = {one: signal.signal(one, note) for one in KINDS if signal.getsignal(one) is not signal.SIG_IGN}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(watched, warn_on_full_buffer=False)


@contextmanager
def leaving_signals() -> Iterator[None]:
    """Within, signals are left to a server, which answers them when it is done; then they are raised as before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watched = signal.set_wakeup_fd(-1)  # whose thread would end the process
    try:
        yield
    finally:
        signal.set_wakeup_fd(watched, warn_on_full_buffer=False)


def opened_streams() -> None:
    """Gives closed standard streams a descriptor, or the next file would get theirs, and what native code prints."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)


def settled_streams() -> None:
    """Lets the interpreter end in silence where stdout or stderr takes nothing any more."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
