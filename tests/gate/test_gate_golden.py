"""Golden files: the record of a reference stands for it, and says what it was recorded with."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from held_out import digits
from onnxray import InputError, compare, models
from onnxray.cli.app import run
from onnxray.gate.layers.randomise import randomised

DIGITS, DIGIT = models.path("digits.onnx"), models.path("digit.png")
X = digits().unseen[:6, None].astype(np.float32) / 255
QUICK: dict[str, Any] = {"methods": "saliency", "layers": False, "threads": 1}


def rewritten(path: Path, **changes: Any) -> Path:
    """The same golden file with another header."""
    with zipfile.ZipFile(path) as file:
        held = {name: file.read(name) for name in file.namelist()}
    header = json.loads(held["header.json"]) | changes
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (held | {"header.json": json.dumps(header).encode()}).items():
            file.writestr(name, content)
    return path


def recorded() -> list[str]:
    """Records g.golden on the command line; the arguments that compare with it."""
    call = [str(DIGITS), str(DIGIT), "-m", "saliency", "--threads", "1"]
    assert run(["compare", str(DIGITS), *call, "--golden", "g.golden"]) == 0
    return call


@pytest.mark.slow
def test_golden_files_stand_for_the_reference(tmp_path: Path) -> None:
    golden, other = tmp_path / "digits.golden", randomised(onnxray.load(DIGITS), 0, share=0.2)
    settings = {"methods": ["saliency", "grad-cam"], "threads": 1, "layers": False, "calibrate": True}
    direct = compare(DIGITS, other, X, golden=golden, **settings)
    again = compare(golden, other, X, **settings)
    for a, b in zip(direct.summary, again.summary, strict=True):
        assert (a.method, a.metric, a.count) == (b.method, b.metric, b.count)
        assert b.mean == pytest.approx(a.mean, abs=5e-3)
    assert direct.calibration is not None
    assert again.calibration is not None
    assert again.calibration.scores == pytest.approx(direct.calibration.scores, abs=0.02)
    header = json.loads(zipfile.ZipFile(golden).read("header.json"))
    assert {"digest", "versions", "providers", "preprocess", "seed", "methods"} <= set(header)
    same = compare(golden, DIGITS, X, **settings)
    assert same.passed
    assert same.value("saliency", "cosine") > 0.9999


def test_golden_files_are_checked(tmp_path: Path) -> None:
    golden = tmp_path / "digits.golden"
    compare(DIGITS, DIGITS, X[:2], methods="saliency", layers=False, golden=golden)
    with pytest.raises(InputError, match="not the one that"):
        compare(golden, DIGITS, 1 - X[:2], methods="saliency")
    assert [one.name for one in compare(golden, DIGITS, X[:3], methods="saliency").failed] == ["sample:2"]
    golden.write_bytes(golden.read_bytes()[:-80])
    with pytest.raises(InputError, match="golden"):
        compare(golden, DIGITS, X[:2])


def test_the_digests_are_those_of_both_models(tmp_path: Path) -> None:
    golden, other = tmp_path / "g.golden", randomised(onnxray.load(DIGITS), 0, share=0.2)
    compare(DIGITS, DIGITS, X, golden=golden, **QUICK)
    found = compare(golden, other, X, **QUICK).provenance
    assert found["reference"] == onnxray.load(DIGITS).digest != other.digest
    assert found["candidate"] == other.digest
    assert found["recorded"]["versions"]["onnxruntime"] == onnxruntime.__version__
    assert found["recorded"]["providers"] == ["CPUExecutionProvider"]


@pytest.mark.usefixtures("elsewhere")
def test_another_onnxruntime_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    call = recorded()
    capsys.readouterr()
    assert run(["compare", "g.golden", *call]) == 0
    told = capsys.readouterr().out
    assert "recorded with" not in told
    assert "recorded on" not in told
    rewritten(Path("g.golden"), versions={"onnxruntime": "1.0.0"}, processor={"name": "m1", "features": ["asimddp"]})
    assert run(["compare", "g.golden", *call]) == 0
    told = capsys.readouterr().out
    assert f"recorded with onnxruntime 1.0.0, the candidate ran on onnxruntime {onnxruntime.__version__}" in told
    assert "recorded on m1 (asimddp), the candidate ran on" in told


@pytest.mark.usefixtures("elsewhere")
def test_what_a_golden_file_cannot_do_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    call = recorded()
    for extra in (["--calibrate"], ["--golden", "again.golden"]):
        assert run(["compare", "g.golden", *call, *extra]) == 2
    rewritten(Path("g.golden"), format=99)
    assert run(["compare", "g.golden", *call]) == 2
    assert capsys.readouterr().err.count("\n") == 3


@pytest.mark.slow
def test_the_candidate_is_asked_as_the_reference_was(tmp_path: Path) -> None:
    golden = tmp_path / "g.golden"
    quick = {**QUICK, "methods": ["integrated-gradients", "grad-cam"]}
    compare(DIGITS, DIGITS, X[:2], golden=golden, layer="conv1", steps=3, baseline=0.5, score="output", **quick)
    same = compare(golden, DIGITS, X[:2], **quick)
    assert same.value("integrated-gradients", "relative-l2") < 1e-3
    assert same.value("grad-cam", "relative-l2") < 1e-3
    assert compare(golden, DIGITS, X[:2], **{**quick, "methods": "grad-cam"}).passed
    assert compare(golden, DIGITS, X[:2], score="output", layer="conv1", **quick).passed
    assert compare(golden, DIGITS, X[:2], layers=False).passed
    with pytest.raises(InputError, match="not of saliency"):
        compare(golden, DIGITS, X[:2], **QUICK)
    for other in ({"layer": "conv2"}, {"steps": 4}, {"score": "logits"}):
        with pytest.raises(InputError, match="was recorded with"):
            compare(golden, DIGITS, X[:2], **quick, **other)


def test_pictures_go_through_the_recorded_recipe(tmp_path: Path) -> None:
    golden, bare = tmp_path / "g.golden", onnx.load(DIGITS)
    inverted = onnxray.Preprocess(size=(28, 28), channels="L", range=(1.0, 0.0))
    compare(DIGITS, DIGITS, DIGIT, preprocess=inverted, golden=golden, **QUICK)
    del bare.metadata_props[:]
    found = compare(golden, bare, DIGIT, **QUICK)
    assert found.value("saliency", "cosine") > 0.9999
    assert found.provenance["recipe"] == repr(inverted)


def test_maps_are_small(tmp_path: Path) -> None:
    golden = tmp_path / "g.golden"
    compare(DIGITS, DIGITS, X, golden=golden, **QUICK)
    with zipfile.ZipFile(golden) as file, file.open("samples/sample_0.npz") as member, np.load(member) as held:
        assert held["map/0"].dtype == np.float16
        assert np.abs(held["map/0"]).max() == 1
