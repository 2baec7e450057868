"""`onnxray compare` on the command line: exit codes, files, and one line for everything that is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from cli_tools import CANCER, DIGIT, DIGITS
from onnxray import compare
from onnxray.cli.app import run
from onnxray.gate.layers.randomise import randomised

QUICK = ["-m", "saliency", "--threads", "1", "--no-layers"]
pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def other(tmp_path: Path) -> str:
    onnx.save(randomised(onnxray.load(DIGITS), 0).proto(), tmp_path / "other.onnx")
    return "other.onnx"


def test_a_model_passes_itself(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--report", "out", "--json", "out/a.json", "--junit", "out/a.xml", "--markdown", "out/a.md"]
    assert (
        run(
            [
                "compare",
                DIGITS,
                DIGITS,
                DIGIT,
                "-m",
                "saliency",
                "-m",
                "integrated-gradients",
                "--option",
                "steps=5",
                *files,
            ]
        )
        == 0
    )
    out, err = capsys.readouterr()
    assert out.startswith("PASS: 1 sample")
    assert err == ""
    assert {file.name for file in Path("out").iterdir()} == {
        "a.json", "a.md", "a.xml", "activations-by-node.json", "evidence-by-node.json", "journal.jsonl", "report.html",
    }  # fmt: skip
    assert json.loads(Path("out/a.json").read_text())["verdict"] == "pass"


def test_another_model_fails(other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", DIGITS, other, DIGIT, *QUICK, "--fail-under", "cosine=0.9", "--json", "-"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["verdict"], record["checks"][0]["passed"]) == ("fail", False)


def test_golden(other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", DIGITS, DIGITS, DIGIT, *QUICK, "--golden", "g.golden"]) == 0
    assert run(["compare", "g.golden", DIGITS, DIGIT, *QUICK]) == 0
    assert run(["compare", "g.golden", other, DIGIT, *QUICK]) == 1
    assert "recorded" not in capsys.readouterr().err


def test_a_bad_sample_is_told_and_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    Path("d").mkdir()
    Path("d/bad.png").write_text("no picture")
    shutil.copy(DIGIT, "d/good.png")
    assert run(["compare", DIGITS, DIGITS, "d", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("PASS: 1 sample, 1 skipped")
    assert err.count("\n") == 1
    assert "bad.png" in err


def few_classes(path: str) -> str:
    """The digits model with five scores."""
    model = onnx.load(DIGITS)
    for weight in model.graph.initializer:
        if weight.name.startswith("fc."):
            weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight)[:5], weight.name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 5
    onnx.save(model, path)
    return path


def wide(path: str) -> str:
    """The digits model for pictures of 32 by 32."""
    model = onnx.load(DIGITS)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 32
    del model.graph.value_info[:]
    onnx.save(model, path)
    return path


BAD = {
    "other inputs": ([DIGITS, CANCER, DIGIT], "different inputs"),
    "inputs of another size": ([DIGITS, "wide.onnx", DIGIT], "(1, 28, 28) and (1, 32, 32)"),
    "corrupt array": ([DIGITS, DIGITS, "bad.npy"], "bad.npy"),
    "corrupt table": ([CANCER, CANCER, "bad.parquet", "-m", "saliency"], "bad.parquet"),
    "corrupt model": ([DIGITS, "bad.onnx", DIGIT], "bad.onnx"),
    "half a golden file": (["half.golden", DIGITS, DIGIT], "half.golden"),
    "empty golden file": (["empty.golden", DIGITS, DIGIT], "empty.golden"),
    "labels of some": ([DIGITS, DIGITS, "some", "--target", "label"], "needs labels"),
    "labels that are no classes": ([DIGITS, DIGITS, "cats"], "'cat'"),
    "no such labels file": ([DIGITS, DIGITS, DIGIT, "--labels", "nowhere"], "nowhere"),
    "other classes": ([DIGITS, "five.onnx", DIGIT], "different scores"),
    "no labels": ([DIGITS, DIGITS, DIGIT, "--target", "label"], "needs labels"),
    "empty folder": ([DIGITS, DIGITS, "empty"], "no pictures or arrays"),
    "no such data": ([DIGITS, DIGITS, "nowhere"], "nowhere"),
    "no such model": ([DIGITS, "nowhere.onnx", DIGIT], "nowhere.onnx"),
    "unreadable golden file": (["bad.golden", DIGITS, DIGIT], "bad.golden"),
    "no such golden file": (["none.golden", DIGITS, DIGIT], "none.golden"),
    "unknown method": ([DIGITS, DIGITS, DIGIT, "-m", "magic"], "choose from saliency"),
    "unknown metric": ([DIGITS, DIGITS, DIGIT, "--metric", "magic"], "choose from spearman"),
    "unknown target": ([DIGITS, DIGITS, DIGIT, "--target", "mine"], "or reference, label, own"),
    "bad threshold": ([DIGITS, DIGITS, DIGIT, "--fail-under", "spearman=much"], "give a number"),
    "bad option": ([DIGITS, DIGITS, DIGIT, "--option", "steps"], "NAME=VALUE"),
    "unknown option": ([DIGITS, DIGITS, DIGIT, "--option", "stepz=3"], "stepz"),
    "no masks": ([DIGITS, DIGITS, DIGIT, "--masks", "nowhere"], "nowhere"),
    "wrong arrays": ([DIGITS, DIGITS, "wide.npy"], "none of 2 samples"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    for name in ("bad.golden", "bad.npy", "bad.parquet", "bad.onnx"):
        Path(name).write_text("hello")
    Path("empty.golden").touch()
    if case == "half a golden file":
        compare(DIGITS, DIGITS, DIGIT, methods="saliency", layers=False, golden="half.golden")
        Path("half.golden").write_bytes(Path("half.golden").read_bytes()[:900])
    for name in ("some/3", "cats/cat"):
        Path(name).mkdir(parents=True)
        shutil.copy(DIGIT, name)
    shutil.copy(DIGIT, "some")
    few_classes("five.onnx")
    wide("wide.onnx")
    np.save("wide.npy", np.zeros((2, 1, 9, 9), np.float32))
    arguments, said = BAD[case]
    assert run(["compare", *arguments, *(() if "-m" in arguments else QUICK)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err.splitlines()[-1]
    assert err.count("\n") == (3 if case == "wrong arrays" else 1)  # a line for each sample too
    assert all(line.startswith("onnxray: error: ") for line in err.splitlines())


def test_all_corrupt(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png"):
        Path(name).write_text("no picture")
    assert run(["compare", DIGITS, DIGITS, "a.png", "b.png", *QUICK]) == 2
    *each, last = capsys.readouterr().err.splitlines()
    assert "none of 2 samples" in last
    assert [name in line for name, line in zip(("a.png", "b.png"), each, strict=True)] == [True, True]


@pytest.mark.parametrize("library", ["skimage.metrics", "bottleneck"])
def test_a_missing_library_is_one_line(
    library: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    assert run(["compare", DIGITS, other, DIGIT, *QUICK]) == 2
    err = capsys.readouterr().err
    assert "pip install 'onnxray[gate]'" in err
    assert err.count("\n") == 1
