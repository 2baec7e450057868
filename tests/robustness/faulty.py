"""Commands that meet a fault as they write: run in forks of one process that has imported onnxray but run nothing."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from threading import Timer
from xml.etree import ElementTree

import numpy as np
import onnx
from cli_tools import DIGIT, DIGITS
from PIL import Image

OLDER = b"older"
SECONDS = 120
_GATE = ["compare", DIGITS, DIGITS, DIGIT, "-m", "saliency", "-m", "input-x-gradient", "--no-layers"]
COMMANDS = {
    "explain": (["explain", DIGITS, DIGIT, "--npz"], ["out/digit-saliency.png", "out/digit-saliency.npz"]),
    "save": (["save", DIGITS, "explainer.onnx"], ["explainer.onnx"]),
    "golden": ([*_GATE, "--golden", "m.golden"], ["m.golden"]),
    "activations": (
        ["activations", DIGITS, DIGIT, "--layer", "conv1", "--npz"],
        ["out/digit-conv1.png", "out/digit-conv1.npz"],
    ),
    "compare": (
        [*_GATE, "--report", "out", "--json", "found.json", "--junit", "gate.xml"],
        ["out/journal.jsonl", "found.json", "gate.xml", "out/report.html"],
    ),
    "evaluate": (
        ["evaluate", DIGITS, DIGIT, "-m", "saliency", "--metric", "sparseness", "--report", "out", "--json", "e.json"],
        ["e.json", "out/evaluation.html"],
    ),
    "convert": (["convert", "model.pkl", "--allow-pickle", "-o", "model.onnx"], ["model.onnx"]),
    "demo": (["demo", "--out", "out"], ["out/digit-saliency.png", "out/digit-methods.png"]),
}


@dataclass(frozen=True)
class Fault:
    """A fault: so many bytes a file at most, a signal at a moment of the first file, or where stdout goes.

    A number as the moment is that of seconds after the start.
    """

    bytes: int | None = None
    signal: int | None = None
    moment: str | float = "fsync"
    stdout: str = os.devnull

    def strike(self) -> None:
        """Prepares the process that is to meet it."""
        if self.bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.bytes, self.bytes))
        if self.signal is not None and isinstance(self.moment, float):
            Timer(self.moment, os.kill, (os.getpid(), self.signal)).start()
        elif self.signal is not None:
            where, name = {"fsync": (os, "fsync"), "rename": (Path, "replace")}[self.moment]
            setattr(where, name, self._struck(getattr(where, name)))

    def _struck(self, real: Callable) -> Callable:
        """fsync: nothing is renamed yet; rename: the first file is in place."""

        def call(*arguments: object) -> object:
            result = real(*arguments)
            if not str(arguments[-1]).endswith("sources.json"):  # no result, but which source a name stands for
                os.kill(os.getpid(), self.signal or 0)
            return result

        return call


@dataclass(frozen=True)
class End:
    """How a command ended, and what it left."""

    code: int
    stderr: str
    files: dict[str, str]  # "older", "newer", "missing", or what is wrong with it
    leftovers: list[str]


def meet(command: str, fault: Fault, folder: Path) -> End:
    """Runs a command where older files are, with a fault."""
    arguments, outputs = COMMANDS[command]
    (folder / "out").mkdir()
    if command == "convert":
        (folder / "model.pkl").write_bytes(pickle.dumps(_classifier()))
    for name in outputs:
        (folder / name).write_bytes(OLDER)
    ours, theirs = multiprocessing.Pipe(duplex=False)  # no file, which would be short, too
    process = _forks().Process(target=_child, args=(arguments, fault, str(folder), theirs))
    process.start()
    theirs.close()
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{command} with {fault} did not end in {SECONDS} s")
    left = [path.name for path in folder.rglob(".*")]
    with io.FileIO(ours.fileno(), closefd=False) as stderr:
        said = stderr.read().decode()
    return End(process.exitcode, said, {name: _state(folder / name) for name in outputs}, left)


def _classifier() -> object:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])


def _forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["onnxray.cli"])
    return context


def _child(arguments: list[str], fault: Fault, folder: str, stderr: Connection) -> None:
    from onnxray.cli.app import main

    os.chdir(folder)
    if fault.stdout == "closed pipe":
        reading, stdout = os.pipe()
        os.close(reading)
    else:
        stdout = os.open(fault.stdout, os.O_WRONLY)
    os.dup2(stdout, 1)
    os.dup2(stderr.fileno(), 2)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w", closefd=False)) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest may run where it is ignored
    sys.argv = ["onnxray", *arguments]
    fault.strike()
    main()


def _state(file: Path) -> str:
    if not file.exists():
        return "missing"
    content = file.read_bytes()
    if content == OLDER:
        return "older"
    try:
        READERS[file.suffix](content)
        return "newer"
    except Exception as error:  # noqa: BLE001  whatever a parser raises of half a file
        return f"broken: {type(error).__name__}: {error}"


def _npz(content: bytes) -> None:
    with np.load(io.BytesIO(content)) as held:
        assert all(held[name] is not None for name in held.files)


def _golden(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        assert json.loads(file.read("header.json"))["samples"] == 1


def _html(content: bytes) -> None:
    assert content.rstrip().endswith(b"</html>")


READERS: dict[str, Callable[[bytes], object]] = {
    ".png": lambda content: Image.open(io.BytesIO(content)).load(),
    ".npz": _npz,
    ".onnx": lambda content: onnx.checker.check_model(onnx.load_from_string(content)),
    ".golden": _golden,
    ".json": json.loads,
    ".jsonl": lambda content: [json.loads(line) for line in content.splitlines()],
    ".xml": lambda content: ElementTree.fromstring(content.decode()),
    ".html": _html,
}
