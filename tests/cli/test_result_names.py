"""Results of one file never overwrite those of another, in one run or in several; a file's own are overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli_tools import DIGIT, DIGITS, one_line
from onnxray.cli.app import run

EXPLAIN = ["explain", DIGITS, "-m", "saliency", "--json"]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in "abc":
        (tmp_path / folder).mkdir()
        shutil.copy(DIGIT, tmp_path / folder / "dog.png")
    return tmp_path


def files(capsys: pytest.CaptureFixture[str], command: list[str], *pictures: str) -> list[str]:
    assert run([*command, *pictures, "--out", "out"]) == 0
    return [json.loads(line)["files"][0] for line in capsys.readouterr().out.splitlines()]


def test_a_second_run_spares_the_results_of_another_picture(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert files(capsys, EXPLAIN, "a/dog.png") == ["out/dog-saliency.png"]
    first = (pictures / "out/dog-saliency.png").stat().st_mtime_ns
    assert files(capsys, EXPLAIN, "b/dog.png") == ["out/dog-2-saliency.png"]
    assert (pictures / "out/dog-saliency.png").stat().st_mtime_ns == first
    assert files(capsys, EXPLAIN, "c/dog.png", "b/dog.png", "a/dog.png") == [
        f"out/dog{number}-saliency.png" for number in ("-3", "-2", "")
    ]
    assert (pictures / "out/dog-saliency.png").stat().st_mtime_ns > first
    sources = json.loads((pictures / "out/sources.json").read_text())
    assert sources == {
        name: str((pictures / f"{folder}/dog.png").resolve())
        for name, folder in (("dog", "a"), ("dog-2", "b"), ("dog-3", "c"))
    }


def test_layers_share_the_names(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["activations", DIGITS, "--layer", "conv1", "--json"]
    assert files(capsys, command, "a/dog.png") == ["out/dog-conv1.png"]
    assert files(capsys, command, "b/dog.png") == ["out/dog-2-conv1.png"]
    assert files(capsys, EXPLAIN, "b/dog.png") == ["out/dog-2-saliency.png"]


@pytest.mark.parametrize("text", ["{", "[]", '{"dog": 1}'])
def test_a_file_of_that_name_that_is_something_else(
    text: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "out").mkdir()
    (pictures / "out/sources.json").write_text(text)
    assert "sources.json" in one_line([*EXPLAIN, "a/dog.png", "--out", "out"], capsys)
    assert (pictures / "out/sources.json").read_text() == text
