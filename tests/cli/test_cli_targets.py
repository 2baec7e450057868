"""Labels and targets on the command line: classes by number and by name, elements of a score of two axes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_tools import records
from onnxray import errors
from onnxray.attribution.target_text import parse_target
from onnxray.cli.app import run
from onnxray.data.labels import read_labels
from onnxray.data.preprocess import Preprocess
from real_files import DATA, top_class

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real models and pictures of shared/data are not here")
pytestmark = pytest.mark.usefixtures("elsewhere")


def test_labels(tmp_path: Path) -> None:
    texts = {"a.txt": "n01440764 tench, Tinca tinca\nn02 cat\n\n", "b.json": '["x", "y"]', "c.txt": '{"7": "seven"}'}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / "a.txt") == {0: "tench, Tinca tinca", 1: "n02 cat"}
    assert read_labels(tmp_path / "b.json") == {0: "x", 1: "y"}
    assert read_labels(tmp_path / "c.txt") == {7: "seven"}
    (tmp_path / "d.json").write_text('{"seven": 7')
    with pytest.raises(errors.InputError, match=r"d\.json"):
        read_labels(tmp_path / "d.json")


def test_targets() -> None:
    labels = {0: "tench, Tinca tinca", 1: "crane", 2: "crane", 3: "crane, machine"}
    assert parse_target("top1", labels) == "top1"
    assert parse_target("5", labels) == 5
    assert parse_target("0,5", labels) == (0, 5)
    assert parse_target("tinca TINCA", labels) == parse_target("tench, Tinca tinca", labels) == 0
    for text, said in {"crane": "several classes", "tensh": "did you mean 'tench, Tinca tinca'"}.items():
        with pytest.raises(errors.InputError, match=said):
            parse_target(text, labels)
    with pytest.raises(errors.InputError, match="--labels"):
        parse_target("tench", {})


@pytest.mark.slow  # every day in Python, by tests/explainer/test_real_files.py
@needs_data
@pytest.mark.parametrize("method", ["grad-cam", "guided-backprop"])
def test_a_doberman_is_named(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = DATA / "onnx" / "mobilenetv2like_qdq_244.onnx", DATA / "images" / "doberman.png"
    options = ["-m", method, "--preprocess", "imagenet", "--labels", str(DATA / "synset.txt"), "--json"]
    assert run(["explain", str(model), str(picture), *options]) == 0
    (record,) = records(capsys.readouterr().out)
    target = top_class(model, picture, Preprocess.preset("imagenet", size=(244, 244)))  # one of two pinschers
    assert record["target"] == target
    assert record["label"] == (DATA / "synset.txt").read_text().splitlines()[target].split(" ", 1)[1]


@pytest.mark.slow
@needs_data
def test_a_score_of_two_axes_is_a_tuple(capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = DATA / "onnx" / "yolox_nano_224.onnx", DATA / "images" / "doberman.png"
    options = ["--preprocess", "none,channels=BGR", "--json"]
    assert run(["explain", str(model), str(picture), "--target", "500,4", *options]) == 0
    (record,) = records(capsys.readouterr().out)
    assert (record["target"], record["label"]) == ([500, 4], None)
