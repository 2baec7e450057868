"""Runs of a saved file in a process that has numpy and onnxruntime alone."""

from __future__ import annotations

import atexit
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

__all__ = ["run_plainly"]

PLAIN = """
import sys
sys.path[:0] = sys.argv[1:]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("onnxray", "onnx", "onnx_ir"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import numpy, onnxruntime
try:
    import onnxray
except ModuleNotFoundError:
    pass
assert "onnxray" not in sys.modules and "onnx" not in sys.modules
for line in sys.stdin:
    file, given, found = line.rstrip("\\n").split("|")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    results = session.run(None, dict(numpy.load(given)))
    numpy.savez(found, **{o.name: r for o, r in zip(session.get_outputs(), results)})
    print("done", flush=True)
"""


@cache
def plain_process() -> subprocess.Popen[str]:
    """A process that has numpy and onnxruntime alone, isolated and without site, and runs the files it is told of."""
    places = {str(Path(str(package.__file__)).parents[1]) for package in (np, onnxruntime)}
    command = [sys.executable, "-I", "-S", "-c", PLAIN, *places]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(started.kill)
    return started


def run_plainly(file: Path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """The file's outputs from the process that has numpy and onnxruntime alone."""
    given, found = file.with_suffix(".in.npz"), file.with_suffix(".out.npz")
    np.savez(given, **feeds)  # type: ignore[arg-type]
    other = plain_process()
    assert other.stdin is not None
    assert other.stdout is not None
    print(file, given, found, sep="|", file=other.stdin, flush=True)
    if other.stdout.readline() != "done\n":
        plain_process.cache_clear()
        pytest.fail(f"the process ended with {other.wait(60)}; stderr has its reason")
    return dict(np.load(found))
