"""Data and commands of the gate's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnxray
import pytest
from gate_tools import Asked
from held_out import digits
from onnxray import models
from onnxray.cli.app import run
from onnxray.gate.layers.randomise import randomised
from PIL import Image


@pytest.fixture
def other(elsewhere: None) -> str:
    onnx.save(randomised(onnxray.load(models.path("digits.onnx")), 0).proto(), "other.onnx")
    return "other.onnx"


@pytest.fixture
def folder(elsewhere: None) -> str:
    """Twelve digits in folders of their names."""
    held = digits()
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for index, (row, label) in enumerate(zip(held.unseen[:12], held.unseen_labels, strict=False)):
        (place := Path("photos") / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(row).save(place / f"{index}.png")
    Path("names.txt").write_text("\n".join(names))
    return "photos"


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Asked:
    """The JSON that a command prints."""

    def ask(*arguments: str) -> dict[str, Any]:
        assert run([*arguments, "--json", "-"]) in (0, 1)
        return json.loads(capsys.readouterr().out)

    return ask
