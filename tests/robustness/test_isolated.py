"""Files that crash, hang or swell end the process that looks at them, not the caller's."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import DENSE, model
from cli_tools import DIGITS, records
from failing import fails
from onnxray import ModelError
from onnxray.cli.app import run
from onnxray.loading import isolation
from onnxray.loading.isolation import Limits, check_isolated

SWELLS = """net (float[1] x) => (float[1] y) {
    big = ConstantOfShape(size)
    s = ReduceSum<keepdims = 0>(big)
    y = Add(x, s) }"""


@pytest.mark.slow
def test_isolated_loading_gives_the_same_model(tmp_path: Path) -> None:
    onnx.save(DENSE.proto(), tmp_path / "model.onnx")
    for source in (tmp_path / "model.onnx", DENSE.proto()):
        assert onnxray.load(source, isolated=True).digest == onnxray.load(source).digest


@pytest.mark.slow
def test_isolated_loading_tells_the_same_error(tmp_path: Path) -> None:
    file = tmp_path / "text.onnx"
    file.write_text("no model")
    with fails(ModelError, str(file), "not an ONNX model"):
        onnxray.load(file, isolated=True)
    with fails(ModelError, "the given model", "not an ONNX model"):
        onnxray.load(b"no model", isolated=True)


def test_crash_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies of a signal, as onnxruntime's do."""
    monkeypatch.setattr(isolation.sys, "executable", str(_script(tmp_path, "kill -SEGV $$")))
    with fails(ModelError, "SIGSEGV"):
        onnxray.load(DENSE.proto(), isolated=True)


def test_time_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation.sys, "executable", str(_script(tmp_path, "exec sleep 60")))
    start = time.monotonic()
    with fails(ModelError, "0.5 s"):
        check_isolated(DENSE.proto(), "the given model", Limits(seconds=0.5))
    assert time.monotonic() - start < 10


def _script(folder: Path, line: str) -> Path:
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)
    return file


@pytest.mark.slow
def test_memory_is_limited() -> None:
    """A tensor of 16 GB: the other process gets no memory for it, this one never asks."""
    proto = model(SWELLS, {"size": np.array([2**32])})
    check_isolated(proto, "the given model")
    with fails(ModelError, "memory"):
        check_isolated(proto, "the given model", Limits(memory=2**20))


@pytest.mark.slow
def test_inspect_isolated(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", DIGITS, "--json"]) == 0
    expected = records(capsys.readouterr().out.replace("\n", ""))
    assert run(["inspect", DIGITS, "--json", "--isolated"]) == 0
    assert records(capsys.readouterr().out.replace("\n", "")) == expected
