"""Helpers of the tests of the command line: the models and data of the package, and the output of a run."""

from __future__ import annotations

import json

import onnx
import pytest
from onnxray.cli.app import run
from onnxray.models import path

DIGITS, DIGIT, CANCER, ROWS = (
    str(path(name)) for name in ("digits.onnx", "digit.png", "breast_cancer.onnx", "breast_cancer.csv")
)


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def last_convolution() -> str:
    return [node for node in onnx.load(DIGITS).graph.node if node.op_type == "Conv"][-1].name


def one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a run that must fail with exit code 2, nothing on stdout and one line on stderr."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("onnxray: error: ")
    return err
