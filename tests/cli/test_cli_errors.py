"""Bad input on the command line: one line each, the right exit code, and the good images done."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_tools import CANCER, DIGIT, DIGITS, one_line, records
from onnxray import errors, runtime
from onnxray.cli.app import run

pytestmark = pytest.mark.usefixtures("elsewhere")
BAD = {
    "unknown layer": (["-m", "grad-cam", "--layer", "nowhere"], "nowhere"),
    "layer for a method without": (["--layer", "conv1"], "takes no layer"),
    "class out of range": (["--target", "10"], "out of range"),
    "unknown label": (["--target", "cat"], "the labels are 0, 1"),
    "tuple of wrong length": (["--target", "0,5"], "(0, 5)"),
    "unknown method": (["-m", "magic"], "choose from saliency"),
    "option of another method": (["--steps", "3"], "has no option 'steps'"),
    "unknown option": (["--stepz", "3"], "onnxray explain --help"),
    "no number": (["-m", "integrated-gradients", "--baseline", "x"], "'x' is no number"),
    "unavailable provider": (["--provider", "nowhere"], "no execution provider 'nowhere'"),
    "unknown palette": (["--palette", "mud"], "choose from jet"),
    "unknown preset": (["--preprocess", "mud"], "imagenet"),
    "bad change of a preset": (["--preprocess", "unit,size=wide"], "size=wide"),
    "bad memory": (["--memory", "lots"], "512MB"),
    "unknown score": (["--score", "nowhere"], "nowhere"),
    "no folder": (["--out", "/dev/null/out"], "/dev/null/out"),
    "missing labels": (["--labels", "nowhere.txt"], "nowhere.txt"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, said = BAD[case]
    assert said in one_line(["explain", DIGITS, DIGIT, *arguments], capsys)


@pytest.mark.parametrize("command", [["explain"], ["inspect"], ["save"]])
@pytest.mark.parametrize("content", [Path(DIGITS).read_bytes()[:2000], b"hello world\n", b"", None])
def test_bad_models_are_one_line(command: list[str], content: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        Path("bad.onnx").write_bytes(content)
    rest = {"explain": [DIGIT], "save": ["out.onnx"], "inspect": []}[command[0]]
    assert "bad.onnx" in one_line([*command, "bad.onnx", *rest], capsys)


@pytest.mark.parametrize("name", ["bad.png", "bad.npy", "bad.npz", "bad.csv", "missing.png", "missing.csv"])
def test_bad_files_are_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("bad"):
        Path(name).write_text("a,b\n1,x\n")
    model = CANCER if name.endswith(".csv") else DIGITS
    assert name in one_line(["explain", model, name], capsys)


def test_wrong_shapes_and_nan_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("wide.npy", np.zeros((1, 1, 28, 29), np.float32))
    np.save("nan.npy", np.full((1, 1, 28, 28), np.nan, np.float32))
    assert "wide.npy: input 'image' has shape" in one_line(["explain", DIGITS, "wide.npy"], capsys)
    assert "nan.npy: input 'image' holds NaN" in one_line(["explain", DIGITS, "nan.npy"], capsys)


def test_a_picture_for_a_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give an array" in one_line(["explain", CANCER, DIGIT], capsys)


def test_save_spares_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.onnx").write_bytes(Path(DIGITS).read_bytes())
    assert "is the model itself" in one_line(["save", "model.onnx", "./model.onnx"], capsys)


def test_one_bad_image_among_many(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_text("no picture")
    assert run(["explain", DIGITS, "bad.png", DIGIT, "--json"]) == 1
    out, err = capsys.readouterr()
    assert [record["image"] for record in records(out)] == [DIGIT]
    line, last = err.splitlines()
    assert "bad.png" in line
    assert "2 files: 1 done, 1 failed, 0 skipped" in last


def test_all_bad(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", DIGITS, "a.png", "b.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert run(["explain", DIGITS, DIGIT, DIGIT, DIGIT, "--target", "77"]) == 2
    first, rest = capsys.readouterr().err.splitlines()
    assert "out of range" in first
    assert "the same for 2 more" in rest


def test_warnings_are_one_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(DIGITS)
    del model.metadata_props[:]
    onnx.save(model, "bare.onnx")
    assert run(["explain", "bare.onnx", DIGIT, DIGIT]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("onnxray: warning: the range of the pixels is unknown")


def test_a_folder_that_may_not_be_searched_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refused)  # as of a folder without the right x, but for root
    assert "locked/dog.png: Permission denied; allow" in one_line(["explain", DIGITS, "locked/dog.png"], capsys)


def test_no_runtime_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'onnxray[cpu]'" in one_line(["explain", DIGITS, DIGIT], capsys)
    assert run(["inspect", DIGITS]) == 0


def test_a_failure_of_the_runtime_spoils_one_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = runtime.Session.run, []

    def sometimes(self: runtime.Session, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise errors.OnnxrayError("onnxruntime: out of memory")
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime.Session, "run", sometimes)
    assert run(["explain", DIGITS, DIGIT, DIGIT, "--json", "--batch-size", "1"]) == 1
    assert len(records(capsys.readouterr().out)) == 1
    calls.clear()
    assert run(["explain", DIGITS, DIGIT, DIGIT, "--json"]) == 0  # one by one, where all together were too many
    assert len(records(capsys.readouterr().out)) == 2
