"""Loading tried first in a process of its own, with limits: a file that crashes, hangs or swells ends that process.

``python -m onnxray.diagnostics.trial_load FILE`` is that process. It loads the model, inspects it, opens it in
onnxruntime and runs it on zeros where its sizes are known. What it finds wrong comes back as one line of JSON.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import onnx

from .. import errors
from ..errors import ModelError
from ..support.fingerprint import file_digest

__all__ = ["LIMITS", "Limits", "check_isolated"]


@dataclass(frozen=True)
class Limits:
    """Seconds of time and of one processor, and bytes of memory beside eight times the file's size.

    Memory and processor time are limited where Python has ``resource``: on Linux; macOS ignores the memory, and Windows
    has the limit of time alone.
    """

    seconds: float = 120.0
    memory: int = 4 * 2**30


LIMITS = Limits()


def check_isolated(source: str | PathLike[str] | bytes | onnx.ModelProto, where: str, limits: Limits = LIMITS) -> None:
    """Raises ModelError for a source that cannot be loaded within the limits, or that changes while it is looked at."""
    with tempfile.TemporaryDirectory(prefix="onnxray-") as folder:
        if isinstance(source, bytes | onnx.ModelProto):
            file = Path(folder) / "model.onnx"
            file.write_bytes(source if isinstance(source, bytes) else source.SerializeToString())
        else:
            file = Path(source)
        _check(_answer(file, where, limits), file, where)


def _answer(file: Path, where: str, limits: Limits) -> dict[str, str]:
    command = [
        sys.executable,
        "-m",
        "onnxray.diagnostics.trial_load",
        str(file),
        str(limits.memory),
        str(limits.seconds),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limits.seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{where}: loading took more than {limits.seconds:g} s; it was stopped") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ModelError(f"{where}: the process that loaded it died of {name}; do not use this file")
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or not lines:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        room = " (its memory is limited)" if "failed to map segment" in said[-1] else ""  # of a library, loaded late
        raise ModelError(f"{where}: the process that loaded it failed: {said[-1][:300]}{room}")
    return json.loads(lines[-1])


def _check(answer: dict[str, str], file: Path, where: str) -> None:
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["message"].replace(str(file), where))
    if answer["digest"] != file_digest(file):
        raise ModelError(f"{where}: the file changed while it was looked at")
