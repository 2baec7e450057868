"""Comparisons of detectors: a box of the reference is found in the candidate by its class and overlap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import Array, normal
from detector_nets import NETS, SIDE, Net, intersection_over_union, kept
from onnx import numpy_helper
from onnxray import compare
from onnxray.cli.app import run
from scipy.spatial.distance import cosine

YOLO = next(net for net in NETS if net.name == "yolov8" and len(net.shapes) == 1 and net.metadata)
NUMBERS, BOXES = YOLO.shapes[0]
X = normal(3, 3, SIDE, SIDE, seed=5)
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
    assert [str(one) for one in found.checks] == ["outputs target-found 1 passes: >= 1"]


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


@pytest.mark.usefixtures("elsewhere")
def test_a_box_that_the_candidate_lacks_fails_the_gate(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a finding in the verdict, the JSON and the JUnit file; the maps of other boxes are not compared instead."""
    onnx.save(YOLO.proto(), "a.onnx")
    onnx.save(elsewhere_in_the_grid(without(X[0])), "b.onnx")
    np.save("x.npy", X[:1])
    call = ["compare", "a.onnx", "b.onnx", "x.npy", "-m", "saliency", "--metric", "spearman", "--no-layers"]
    assert run([*call, "--target", "box:0", "--json", "found.json", "--junit", "gate.xml"]) == 1
    name = ["cat", "dog", "owl"][first_box(X[0])[1]]
    told = capsys.readouterr().out
    finding = next(line.strip() for line in told.splitlines() if "x.npy:0: " in line)
    assert finding.startswith(f"x.npy:0: no box overlaps box 0, {name}: ")
    record = json.loads(Path("found.json").read_text())
    assert (record["verdict"], record["failed"]) == ("fail", [])
    assert record["samples"][0]["outputs"] == {"target-found": 0.0}
    assert record["samples"][0]["maps"] == {}
    failures = [one.get("message") for one in ElementTree.parse("gate.xml").iter("failure")]
    assert failures == ["outputs target-found 0 fails: < 1", finding.partition(": ")[2]]
