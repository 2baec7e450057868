"""A detector on the command line: every box of a picture, one of them by name or place, and what is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from cli_tools import one_line, records
from detector_nets import NETS, SIDE
from onnxray.cli.app import run
from onnxray.data.labels import without_background
from onnxray.detection.detector import SIDES
from PIL import Image

pytestmark = pytest.mark.usefixtures("elsewhere")
YOLO = next(net for net in NETS if net.metadata and net.name == "yolov8")
LABELS = ["cat", "dog", "owl"]
EXPLAIN = ["explain", "yolo.onnx", "street.png", "--preprocess", "imagenet,fit=letterbox"]


@pytest.fixture(autouse=True)
def _files(elsewhere: Path) -> None:
    onnx.save(YOLO.proto(), "yolo.onnx")
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE * 2, SIDE * 4, 3), np.uint8)
    Image.fromarray(pixels).save("street.png")


def _boxes() -> list[onnxray.DetectedBox]:
    preprocess = onnxray.Preprocess.preset("imagenet", size=(SIDE, SIDE), fit="letterbox")
    return onnxray.detect("yolo.onnx", "street.png", preprocess=preprocess)[0]


def test_every_box_is_explained_with_its_class_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*EXPLAIN, "--json"]) == 0
    out, err = capsys.readouterr()
    found, boxes = records(out), _boxes()
    assert "the first 10 are explained; name others, as --target box:10" in err
    assert len(boxes) > len(found) == 10
    for record, box in zip(found, boxes, strict=False):
        assert record["label"] == LABELS[box.label]
        assert record["explained"] == f"box {box.rank}, {LABELS[box.label]}"
        assert record["score"] == pytest.approx(box.score, rel=1e-5)
        assert record["files"] == [f"out/street-box{box.rank}-saliency.png"]
        wanted = (np.array(box.corners) - [0, SIDE / 4, 0, SIDE / 4]) * 4  # of a picture four times as wide
        np.testing.assert_allclose(record["box"], np.clip(wanted, 0, [4 * SIDE, 2 * SIDE] * 2), atol=0.06)


def test_one_box_is_named_by_rank_class_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    boxes = _boxes()
    dogs = [box for box in boxes if box.label == 1]
    place = ",".join(map(str, boxes[1].corners))
    for text, box in (("box:1", boxes[1]), ("box:dog", dogs[0]), ("box:1:dog", dogs[1]), (f"box:{place}", boxes[1])):
        assert run([*EXPLAIN, "--json", "--target", text]) == 0
        (record,) = records(capsys.readouterr().out)
        assert record["score"] == pytest.approx(box.score, rel=1e-5)
        assert record["target"][1] == box.label
        np.testing.assert_allclose(record["target"][2:], box.corners, rtol=1e-4, atol=1e-3)
        assert len(record["box"]) == SIDES


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("box:500", "street.png: box 500 is not there: example 0 has"),
        ("box:horse", "target 'box:horse', as in box:0 or box:dog"),
        ("box:1,2,3,x", "'x' is no number"),
        ("dog", "target 'dog' names none of the scores"),
    ],
)
def test_what_is_not_there_is_one_line(target: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert text in one_line([*EXPLAIN, "--target", target], capsys)


def test_inspect_says_which_detector_it_sees(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "yolo.onnx"]) == 0
    assert "yolov8: 'onnxray explain' explains its boxes" in capsys.readouterr().out


@pytest.mark.parametrize("first", [["BACKGROUND"], []])
def test_the_background_of_an_ssd_is_no_class_of_its_boxes(
    first: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its scores have one class more than its boxes; label files may name it or not."""
    onnx.save(next(net for net in NETS if net.name == "ssd").proto(), "ssd.onnx")
    Path("labels.txt").write_text("\n".join([*first, *LABELS]))
    explain = ["explain", "ssd.onnx", "street.png", "--preprocess", "unit", "--labels", "labels.txt"]
    assert run([*explain, "--target", "box:0", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert record["label"] == LABELS[int(record["target"][1])]
    Path("labels.txt").write_text("\n".join([*first, *LABELS[1:]]))
    message = (
        "the 2 labels do not fit the 3 classes of the boxes, of which the background is none; give one label for each"
    )
    assert message in one_line(explain, capsys)


@pytest.mark.parametrize("first", ["background", "__background__", "???", "BG"])
def test_a_background_in_front_is_known_by_its_names(first: str) -> None:
    assert without_background({0: first, 1: "cat", 2: "dog"}) == {0: "cat", 1: "dog"}
    assert without_background({0: "cat", 1: first}) == {0: "cat", 1: first}
    assert without_background({7: "cat"}) == {7: "cat"}
