"""Comparisons of detectors: a box of the reference is found in the candidate by its class and overlap."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import Array, normal
from cli_tools import one_line
from detector_nets import NETS, SIDE, Net, intersection_over_union, kept
from onnx import numpy_helper
from onnxray import compare, evaluate, models
from onnxray.attribution.inputs import prepare
from onnxray.cli.app import run
from onnxray.gate.reports.comparison_page import boxed
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image
from scipy.spatial.distance import cosine

YOLO = next(net for net in NETS if net.name == "yolov8" and len(net.shapes) == 1 and net.metadata)
NAMES = ["cat", "dog", "owl"]
NUMBERS, BOXES = YOLO.shapes[0]
X = 50 * normal(3, 3, SIDE, SIDE, seed=5)
QUICK: dict[str, Any] = {"methods": "saliency", "metrics": "cosine", "layers": False, "threads": 1}
ORDER = np.random.default_rng(0).permutation(BOXES)


def changed(net: Net, **weights: Array) -> onnx.ModelProto:
    """The net with other weights."""
    made = net.proto()
    for one in made.graph.initializer:
        if one.name in weights:
            one.CopyFrom(numpy_helper.from_array(weights[one.name].astype(np.float32), one.name))
    return made


def elsewhere_in_the_grid(bias: Array | None = None) -> onnx.ModelProto:
    """The same detector, each of whose boxes stands at another index."""
    w = YOLO.weight(0).reshape(-1, NUMBERS, BOXES)[:, :, ORDER].reshape(len(YOLO.weight(0)), -1)
    b = YOLO.bias(0).reshape(NUMBERS, BOXES) if bias is None else bias
    return changed(YOLO, w0=w, b0=b[:, ORDER].ravel())


def first_box(x: Array) -> tuple[int, int]:
    """The index of the best box, and its class."""
    sides, found = YOLO.boxes(*YOLO.raw(x))
    return (k := kept(sides, found)[0]), int(found[k].argmax())


def without(x: Array, instead: int | None = None) -> Array:
    """Biases with which the best box of an input has no score of its class, or that of another class instead."""
    b, (k, label) = YOLO.bias(0).reshape(NUMBERS, BOXES).copy(), first_box(x)
    near = [j for j in range(BOXES) if intersection_over_union(*(YOLO.boxes(*YOLO.raw(x))[0][[k, j]])) >= 0.4]
    b[4 + label, near] = -9
    if instead is not None:
        b[4 + (label + instead) % (NUMBERS - 4), k] = 5
    return b


def test_a_box_is_found_by_overlap_not_by_its_index() -> None:
    found = compare(YOLO.proto(), elsewhere_in_the_grid(), X, target="box:0", **QUICK)
    for row, x in zip(found.rows, X, strict=True):
        corners = onnxray.detect(YOLO.proto(), x[None])[0][0].corners
        assert row.boxes is not None
        np.testing.assert_allclose(row.boxes, [corners, corners], rtol=1e-4)
        assert (row.target, row.explained) == ("box:0", f"box 0, {['cat', 'dog', 'owl'][first_box(x)[1]]}")
        assert row.outputs == pytest.approx({"target-found": 1, "box-iou": 1, "score-change": 0}, abs=1e-4)
        assert row.maps["saliency"]["cosine"] == pytest.approx(1, abs=1e-5)
    assert found.passed
    assert [str(one) for one in found.checks] == ["outputs target-found passes: 1 is at least 1"]


@pytest.mark.slow
def test_a_box_that_moved_is_measured() -> None:
    """The reference's box is known in NumPy; so is the candidate's, whose scores and places have other weights."""
    noise = 0.05 * normal(*YOLO.weight(0).shape, seed=9) / np.abs(X).sum()
    net = changed(YOLO, w0=YOLO.weight(0) + noise, b0=YOLO.bias(0) + 0.05 * normal(BOXES * NUMBERS, seed=8))
    x = X[:1]
    found = compare(YOLO.proto(), net, x, target="box:0", **QUICK).rows[0]
    k, label = first_box(x)
    a, b = (onnxray.detect(one, x)[0] for one in (YOLO.proto(), net))
    match = max((box for box in b if box.label == label), key=lambda box: _overlap(a[0].corners, box.corners))
    assert found.outputs["box-iou"] == pytest.approx(_overlap(a[0].corners, match.corners), abs=1e-4)
    assert found.outputs["score-change"] == pytest.approx(abs(match.score - a[0].score) / a[0].score, rel=1e-3)
    column = (4 + label) * BOXES + k
    sides = [w.reshape(-1, NUMBERS * BOXES)[:, column] for w in (YOLO.weight(0), YOLO.weight(0) + noise)]
    assert found.maps["saliency"]["cosine"] == pytest.approx(1 - cosine(*sides), abs=1e-4)


def _overlap(a: Any, b: Any) -> float:
    return intersection_over_union(np.array(a), np.array(b))


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_a_box_that_the_candidate_lacks_fails_the_gate(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a finding in the verdict, the JSON and the JUnit file; the maps of other boxes are not compared instead."""
    onnx.save(YOLO.proto(), "a.onnx")
    onnx.save(elsewhere_in_the_grid(without(X[0])), "b.onnx")
    np.save("x.npy", X[:1])
    call = ["compare", "a.onnx", "b.onnx", "x.npy", "-m", "saliency", "--metric", "spearman", "--no-layers"]
    assert run([*call, "--target", "box:0", "--json", "found.json", "--junit", "gate.xml"]) == 1
    name = NAMES[first_box(X[0])[1]]
    told = capsys.readouterr().out
    finding = next(line.strip() for line in told.splitlines() if "x.npy:0: " in line)
    assert finding.startswith(f"x.npy:0: no box overlaps box 0, {name}: ")
    record = json.loads(Path("found.json").read_text())
    assert (record["verdict"], record["failed"]) == ("fail", [])
    assert record["samples"][0]["outputs"] == {"target-found": 0.0}
    assert record["samples"][0]["maps"] == {}
    failures = [one.get("message") for one in ElementTree.parse("gate.xml").iter("failure")]
    assert failures == ["outputs target-found fails: 0 is below 1", finding.partition(": ")[2]]


@pytest.mark.slow
def test_a_box_of_another_class_is_not_the_box() -> None:
    found = compare(YOLO.proto(), elsewhere_in_the_grid(without(X[0], instead=1)), X[:1], target="box:0", **QUICK)
    label = first_box(X[0])[1]
    here, there = NAMES[label], NAMES[(label + 1) % 3]
    finding = f"no box overlaps box 0, {here}: the nearest in the candidate, {there}, overlaps by 1.00"
    assert (found.rows[0].finding, found.rows[0].maps, found.passed) == (finding, {}, False)
    allowed = compare(
        YOLO.proto(), elsewhere_in_the_grid(without(X[0], instead=1)), X, target="box:0",
        fail_under={"target-found": 0.5, "cosine": 0.9}, **QUICK,
    )  # fmt: skip
    assert [row.finding != "" for row in allowed.rows] == [True, False, False]
    assert [(one.metric, one.passed, one.sure) for one in allowed.checks] == [
        ("target-found", True, True), ("cosine", True, True),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_a_golden_file_holds_the_box_that_the_candidate_must_have() -> None:
    """The reference's box, found again by overlap in a candidate whose grid has another order; calibrated, too."""
    settings = {**QUICK, "calibrate": True}
    direct = compare(YOLO.proto(), elsewhere_in_the_grid(), X, target="box:0", golden="g.golden", **settings)
    again = compare("g.golden", elsewhere_in_the_grid(), X, **settings)
    assert [(row.target, row.explained, row.boxes) for row in again.rows] == [
        (row.target, row.explained, row.boxes) for row in direct.rows
    ]
    assert again.value("outputs", "box-iou") == pytest.approx(1, abs=1e-4)
    assert again.value("saliency", "cosine") == pytest.approx(1, abs=1e-3)
    assert direct.calibration is not None
    assert direct.calibration.scales[0].floor == pytest.approx(1, abs=1e-5)  # the same element of a linear net
    lacking = compare("g.golden", elsewhere_in_the_grid(without(X[0])), X, **settings)
    assert [row.finding != "" for row in lacking.rows] == [True, False, False]


@pytest.mark.slow
def test_all_boxes_of_a_class() -> None:
    label = first_box(X[0])[1]
    count = len([box for box in onnxray.detect(YOLO.proto(), X[:1])[0] if box.label == label])
    fewer = compare(YOLO.proto(), elsewhere_in_the_grid(without(X[0])), X[:1], target=f"boxes:{NAMES[label]}", **QUICK)
    row = fewer.rows[0]
    assert (row.target, row.explained.split()[0]) == (f"boxes:{label}", str(count))
    left = count - 1 if count > 1 else 0
    assert row.outputs.get("count-change") == (pytest.approx((count - left) / count) if left else None)
    assert (row.finding == "") == bool(left)
    none = elsewhere_in_the_grid(
        np.where(np.arange(NUMBERS)[:, None] == 4 + label, -9, YOLO.bias(0).reshape(NUMBERS, -1))
    )
    found = compare(YOLO.proto(), none, X[:1], target=f"boxes:{label}", **QUICK)
    assert found.rows[0].finding == f"no box of the class is in the candidate: the reference has {row.explained}"


@pytest.mark.slow
def test_the_maps_of_a_box_are_evaluated() -> None:
    """The score of the box is linear: its map times the input foretells every change; randomised weights keep place."""
    found = evaluate(YOLO.proto(), X[:1], methods=["saliency", "input-x-gradient"], target="box:0", threads=1)
    assert found.value("saliency", "infidelity") == pytest.approx(0, abs=1e-5)
    assert found.rows[0].target == "box:0"
    assert found.rows[0].explained == f"box 0, {NAMES[first_box(X[0])[1]]}"
    maps = found.rows[0].maps["saliency"]
    assert {"deletion", "insertion", "parameter-randomisation", "max-sensitivity"} <= maps.keys()
    assert "label-randomisation" not in maps


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_detectors_that_do_not_fit_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    detr = next(net for net in NETS if net.name == "detr")
    for name, proto in (("a.onnx", YOLO.proto()), ("b.onnx", detr.proto())):
        onnx.save(proto, name)
    onnx.save(onnx.load(models.path("digits.onnx")), "digits.onnx")
    np.save("x.npy", X)
    call = ["-m", "saliency", "--target", "box:0"]
    assert "compare models of the same classes" in one_line(["compare", "a.onnx", "b.onnx", "x.npy", *call], capsys)
    picture = str(models.path("digit.png"))
    assert "not those of any detector" in one_line(["compare", "digits.onnx", "digits.onnx", picture, *call], capsys)
    assert "class 7 is out of range" in one_line(
        ["evaluate", "a.onnx", "x.npy", "-m", "saliency", "--target", "box:0:7"], capsys
    )


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_the_page_draws_both_boxes() -> None:
    found = compare(YOLO.proto(), elsewhere_in_the_grid(without(X[0])), X, target="box:0", **QUICK)
    page = found.report("out").read_text()
    assert page.count('<div class="sample">') == 2
    assert found.rows[0].finding in page
    assert "overlap of the two boxes" in page
    look = found.pair.look(next(one for k, one in enumerate(found.pair.samples) if k == 1)) if found.pair else None
    assert look is not None
    assert look.boxes == found.rows[1].boxes
    plain = Image.new("RGB", (SIDE, SIDE))
    drawn = np.asarray(boxed(look, plain))
    assert (drawn != 0).any()
    assert drawn.shape[0] >= SIDE


class Feeds(CalibrationDataReader):
    """One picture, from which the ranges of activations are taken."""

    def __init__(self, name: str, x: Array) -> None:
        self.rows = iter([{name: x}])

    def get_next(self) -> dict[str, Array] | None:  # type: ignore[override]
        return next(self.rows, None)


@pytest.mark.slow
def test_a_real_face_detector_against_its_int8_form(data: Callable[[str], Path], tmp_path: Path) -> None:
    """The int8 form is known as a detector, too, and has the same face at nearly the same place."""
    source, picture = data("onnx/ultraface_RFB-320.onnx"), data("images/grace_hopper.bmp")
    preprocess = onnxray.Preprocess(size=(240, 320), range=(0, 255), mean=(127.0,), std=(128.0,))
    loaded, target = onnxray.load(source), tmp_path / "int8.onnx"
    onnx.save(loaded.proto(), tmp_path / "float.onnx")
    (name, x), *_ = prepare(loaded, picture, preprocess).batch.feeds.items()
    quantize_static(
        tmp_path / "float.onnx", target, Feeds(name, x), QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    found = compare(source, target, picture, target="box:0", preprocess=preprocess, **QUICK)
    (row,) = found.rows
    assert row.outputs["target-found"] == 1
    assert 0.8 < row.outputs["box-iou"] < 1
    assert row.outputs["score-change"] < 0.05
    assert row.boxes is not None
    assert row.outputs["box-iou"] == pytest.approx(_overlap(*row.boxes), abs=1e-5)
    box = onnxray.detect(source, picture, preprocess=preprocess)[0][0]
    np.testing.assert_allclose(row.boxes[0], box.corners, rtol=1e-4)
