"""A library that is missing is told before any work, not after it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxray
import pytest
from cli_tools import DIGITS, one_line
from onnxray.gate import comparing, evaluation
from onnxray.samples import sample_set

X = np.zeros((1, 1, 28, 28), np.float32)


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is loaded is work: it would fail the test."""

    def loaded(source: object) -> None:
        raise AssertionError(f"{source} was loaded")

    for module in (comparing, evaluation):
        monkeypatch.setattr(module, "load", loaded)


def missing(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
@pytest.mark.parametrize("command", [["compare", DIGITS, DIGITS], ["evaluate", DIGITS]])
def test_a_report(
    command: list[str], module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing(monkeypatch, module)
    said = one_line([*command, "photos", "--report", str(tmp_path / "out")], capsys)
    assert f"{module} is not installed; pip install 'onnxray[gate]'" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["scipy", "skimage", "bottleneck"])
def test_metrics(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, module)
    for call in (lambda: onnxray.compare(DIGITS, DIGITS, X), lambda: onnxray.evaluate(DIGITS, X)):
        with pytest.raises(onnxray.RuntimeUnavailable, match=f"{module} is not installed"):
            call()


@pytest.mark.parametrize("given", ["rows.parquet", ["rows.parquet"], Path("rows.PARQUET")])
def test_tables(given: sample_set.Data, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "pyarrow")
    for call in (lambda: onnxray.compare(DIGITS, DIGITS, given), lambda: onnxray.evaluate(DIGITS, given)):
        with pytest.raises(
            onnxray.RuntimeUnavailable, match=r"pyarrow is not installed; pip install 'onnxray\[parquet"
        ):
            call()
    assert sample_set.modules_for([X]) == sample_set.modules_for(X) == sample_set.modules_for("rows.csv") == ()


def test_what_is_there_is_no_matter() -> None:
    with pytest.raises(AssertionError, match=r"digits\.onnx was loaded"):
        onnxray.evaluate(DIGITS, X)
