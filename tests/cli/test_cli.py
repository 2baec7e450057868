"""The command line: its help, and every command but explain."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer.main
from cli_reference import reference
from cli_tools import DIGIT, DIGITS, last_convolution, records
from onnxray import Explainer, compare, evaluate
from onnxray.attribution.score import TENSORS
from onnxray.cli.app import app, run
from onnxray.methods.catalogue import describe_methods, method_options
from PIL import Image

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:" in text
    assert f"onnxray {command}" in text.split("Example:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_terminal_of_80_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    example = text.split("Example:")[1].split("╭")[0]
    assert "…" not in text
    assert re.search(r"extra \.", text) is None, "words in brackets are taken for a style"
    assert [line for line in example.splitlines() if re.match(r" \S", line)] == [], "an example that is too long"


def test_docs_are_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    assert page.read_text() == reference(), "run: python tests/cli_reference.py > docs/cli.md"


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("onnxray 0.")


def test_activations(capsys: pytest.CaptureFixture[str]) -> None:
    layer = last_convolution()
    assert run(["activations", DIGITS, DIGIT, "-l", layer, "-l", "logits", "--npz", "--json"]) == 0
    maps, logits = records(capsys.readouterr().out)
    assert (maps["layer"], logits["shape"]) == (layer, [1, 10])
    assert np.load(maps["files"][1])[layer].shape == tuple(maps["shape"])
    assert Image.open(maps["files"][0]).size[0] > 224


def test_methods_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    from onnxray import METHODS

    assert run(["methods"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in METHODS)
    assert run(["methods", "--json"]) == 0
    listed = {method["name"]: method for method in json.loads(capsys.readouterr().out)}
    assert listed["integrated-gradients"]["paper"] == "Sundararajan et al., 2017, arXiv:1703.01365"
    steps = {"name": "steps", "type": "int", "default": 50, "help": "points on the path"}
    assert steps in listed["integrated-gradients"]["options"]


def test_every_method_option_is_an_option() -> None:
    group = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command in ("explain", "save"):
        assert set(method_options()) <= {parameter.name for parameter in group[command].params}


def test_every_method_says_its_paper_and_its_options() -> None:
    assert [method.name for method in describe_methods() if not method.paper or not method.summary] == []
    having = [(method, one) for options in method_options().values() for method, one in options]
    assert [(method, one.name) for method, one in having if not one.help] == []


def test_every_kind_of_score_is_in_the_help() -> None:
    told = {
        f"onnxray {name} --score": parameter.help
        for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
        for parameter in command.params
        if parameter.name == "score"
    }
    assert len(told) == 6
    told |= {call.__name__: call.__doc__ for call in (Explainer, compare, evaluate)}
    assert [(where, kind) for where, text in told.items() for kind in TENSORS if kind not in text] == []


def test_every_option_is_tried() -> None:
    """Under one of its names, in a test somewhere."""
    tried = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parents[1].rglob("*.py"))
    waiting, missing = [typer.main.get_command(app)], []
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for parameter in command.params:
            names = [name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-")]
            if names and not re.search(rf"""["' ]({"|".join(names)})["' =]""", tried):
                missing.append((command.name, names))
    assert missing == []


def test_save_writes_an_explainer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["save", DIGITS, "explainer.onnx", "-m", "integrated-gradients", "--steps", "3"]) == 0
    assert capsys.readouterr().out == "explainer.onnx\n"
    outputs = [output.name for output in onnx.load("explainer.onnx").graph.output]
    assert outputs[-3:] == ["score", "attribution", "delta"]


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", "shown"]) == 0
    text = capsys.readouterr().out
    assert {str(file) for file in Path("shown").iterdir()} == {
        word for word in text.replace(",", " ").split() if word.startswith("shown")
    }
    assert len(list(Path("shown").iterdir())) == 9
