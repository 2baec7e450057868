"""Every detector that is known by sight gives the boxes of its formula, and the gradient of one box's score."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import DENSE, model, normal
from detector_nets import NETS, SIDE, Net, kept
from onnx import helper
from onnxray.detection.recipes import DETECTORS, detector_of, recognised
from onnxray.scores import Box, ClassBoxes

LEAST = {"detr": 0.02}  # of 91 classes none is likely


def _title(net: Net) -> str:
    return f"{net.name}-{'x'.join(map(str, net.shapes[0]))}"


@pytest.mark.parametrize("net", NETS, ids=_title)
def test_boxes_are_those_of_the_formula(net: Net) -> None:
    x, least = normal(2, 3, SIDE, SIDE), LEAST.get(net.name, 0.25)
    assert detector_of(onnxray.load(net.proto()), None).name == net.name
    found = onnxray.detect(net.proto(), x, box=Box(least=least))
    for k, boxes in enumerate(found):
        sides, scores = net.boxes(*net.raw(x[k]))
        chosen = kept(sides, scores, least=least)
        assert len(chosen) > 2
        assert [box.label for box in boxes] == scores.argmax(1)[chosen].tolist()
        np.testing.assert_allclose([box.score for box in boxes], scores.max(1)[chosen], rtol=1e-5)
        np.testing.assert_allclose([box.corners for box in boxes], sides[chosen], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("net", NETS, ids=_title)
def test_the_gradient_of_a_box_is_that_of_its_formula(net: Net) -> None:
    """Against differences of the formula in float64, along the gradient."""
    x, least = normal(1, 3, SIDE, SIDE), LEAST.get(net.name, 0.25)
    found = onnxray.explain(net.proto(), x, target=Box(1, least=least))
    sides, scores = net.boxes(*net.raw(x[0]))
    place = kept(sides, scores, least=least)[1]
    label = scores[place].argmax()
    np.testing.assert_allclose(found.target, [[1, label, *sides[place]]], rtol=1e-4, atol=1e-4)
    step = found.values[0].astype(np.float64) / np.linalg.norm(found.values) * 1e-3
    ends = [net.boxes(*(y.astype(np.float64) for y in net.raw(x[0] + s)))[1][place, label] for s in (step, -step)]
    assert (ends[0] - ends[1]) / 2e-3 == pytest.approx(np.linalg.norm(found.values), rel=1e-3)


def test_every_detector_is_tried() -> None:
    models = [onnxray.load(net.proto()) for net in NETS]
    tried = {name for name, know in DETECTORS.items() for made in models if know(made, False) is not None}
    assert set(DETECTORS) - tried == {"fastestdet"}  # below


def test_fastest_det_is_known_by_the_three_parts_of_its_map() -> None:
    net = model(
        f"""net (float[N, 3, {SIDE}, {SIDE}] x) => (float[N, 8, 2, 2] y) {{
        p = AveragePool <kernel_shape = [16, 16], strides = [16, 16]> (x)
        first = Slice(p, zero, one, one)
        o = Sigmoid(first)
        b = Concat <axis = 1> (p, first)
        c = Softmax <axis = 1> (p)
        y = Concat <axis = 1> (o, b, c)
    }}""",
        {"zero": np.array([0]), "one": np.array([1])},
    )
    assert detector_of(onnxray.load(net), None).name == "fastestdet"
    x = normal(1, 3, SIDE, SIDE) * 30
    pooled = x[0].reshape(3, 2, 16, 2, 16).mean((2, 4))
    shares = np.exp(pooled) / np.exp(pooled).sum(0)
    scores = (1 / (1 + np.exp(-pooled[:1]))) ** 0.6 * shares**0.4
    label, row, column = np.unravel_index(scores.argmax(), scores.shape)
    place = np.tanh(pooled[:2, row, column]) + np.array([column, row])
    size = 1 / (1 + np.exp(-pooled[[2, 0], row, column])) * SIDE
    best = onnxray.detect(net, x)[0][0]
    assert (best.score, best.label) == (pytest.approx(scores.max(), rel=1e-5), label)
    np.testing.assert_allclose(best.corners, [*(place * 16 - size / 2), *(place * 16 + size / 2)], rtol=1e-4)


@pytest.mark.parametrize(
    ("box", "text"),
    [
        (Box(99), r"box 99 is not there: example 0 has \d+ such boxes with a score of 0.25 or more"),
        (Box(0, least=9.0), "box 0 is not there: example 0 has no such boxes with a score of 9.0 or more"),
        (Box(0, near=(0, 0, 1, 1)), "box 0 near that place is not there"),
        (Box(0, near=(0, 0, 1)), r"near of shape \(3,\): give x1, y1, x2, y2"),
        (Box(0, label=3), "class 3 is out of range: the detector has classes 0 to 2"),
        (Box(0, detector="ssd"), "are not those of the detector 'ssd'"),
        (Box(0, detector="yolo9"), "no detector 'yolo9'"),
    ],
)
def test_what_is_not_there_is_an_error(box: Box, text: str) -> None:
    with pytest.raises(onnxray.OnnxrayError, match=text):
        onnxray.explain(NETS[0].proto(), normal(1, 3, SIDE, SIDE), target=box)


@pytest.mark.parametrize(
    "fields",
    [
        {"rank": "0"},
        {"rank": None},
        {"rank": 1.5},
        {"rank": True},
        {"label": "dog"},
        {"least": "x"},
        {"overlap": -1},
        {"overlap": None},
        {"least": float("nan")},
    ],
    ids=str,
)
def test_settings_of_another_type_are_errors(fields: dict[str, Any]) -> None:
    with pytest.raises(onnxray.InputError, match=f"{next(iter(fields))}=.*: give a"):
        Box(**fields)
    with pytest.raises(onnxray.InputError, match=r"=.*: give a"):
        ClassBoxes(**({"label": fields.get("rank", 0)} | {k: v for k, v in fields.items() if k != "rank"}))


@pytest.mark.parametrize(
    ("shape", "names", "task", "name"),
    [
        ((252, 8), 3, "", "yolov5"),  # YOLOv5, whose names alone are in the metadata
        ((300, 57), 1, "pose", "yolo-end-to-end"),
        ((300, 6), 80, "segment", "yolo-end-to-end"),
        ((40, 11), 11, "", None),  # a recogniser of letters
        ((116, 84), 80, "segment", None),  # more numbers than boxes
    ],
)
def test_the_shape_tells_what_the_names_do_not(shape: tuple[int, int], names: int, task: str, name: str | None) -> None:
    rows, columns = shape
    net = model(
        f"""net (float[N, 3, {SIDE}, {SIDE}] x) => (float[N, {rows}, {columns}] y) {{
        p = GlobalAveragePool(x)  f = Flatten(p)  m = MatMul(f, w)  y = Reshape(m, s) }}""",
        {"w": normal(3, rows * columns), "s": np.array([0, *shape])},
    )
    helper.set_model_props(net, {"names": str({k: f"c{k}" for k in range(names)}), "task": task})
    found = recognised(onnxray.load(net))
    assert (found.name if found is not None else None) == name


def test_a_model_without_pictures_is_no_detector() -> None:
    text = """net (float[N, 4] x) => (float[N, 3, 4] boxes, float[N, 3, 2] scores) {
        a = Concat <axis = 1> (x, x, x)  boxes = Reshape(a, s)
        b = Slice(a, z, six)  c = Reshape(b, t)  scores = Softmax(c) }"""
    shapes = {"s": np.array([0, 3, 4]), "t": np.array([0, 3, 2]), "z": np.array([0, 0]), "six": np.array([99, 6])}
    assert recognised(onnxray.load(model(text, shapes))) is None


@pytest.mark.parametrize("net", [n for n in NETS if n.name in ("yolox", "yolo-end-to-end", "picodet")], ids=_title)
def test_half_precision_is_read(net: Net) -> None:
    x = normal(1, 3, SIDE, SIDE)
    half = net.proto("float16")
    found, exact = onnxray.detect(half, x.astype(np.float16))[0], onnxray.detect(net.proto(), x)[0]
    assert found[0].label == exact[0].label
    assert found[0].score == pytest.approx(exact[0].score, rel=2e-2)


def test_a_detector_that_orders_its_boxes_takes_methods_of_one_point() -> None:
    net, x = next(n for n in NETS if n.name == "yolo-end-to-end"), normal(1, 3, SIDE, SIDE)
    for method in ("occlusion", "integrated-gradients", "deep-lift"):
        with pytest.raises(onnxray.InputError, match=f"{method}: this yolo-end-to-end model orders its boxes"):
            onnxray.explain(net.proto(), x, method, target=Box(0))


def test_a_rank_below_zero_and_an_unknown_part_are_errors() -> None:
    with pytest.raises(onnxray.InputError, match="rank=-1: give a whole number from 0 up"):
        Box(-1)
    with pytest.raises(onnxray.InputError, match="no part of a box 'width'"):
        Box(0, part="width")  # pyright: ignore[reportArgumentType]


def test_a_model_that_is_no_detector_says_its_outputs() -> None:
    with pytest.raises(onnxray.ModelError, match="are not those of any detector that is known"):
        onnxray.explain(DENSE.proto(), DENSE.x(), target=Box(0))


def test_the_page_has_a_row_for_every_detector() -> None:
    page = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text()
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)) == set(DETECTORS)


def test_an_int8_detector_is_known_as_its_float_form_is() -> None:
    """A quantised export rounds behind the Softmax by which an SSD is known."""
    net = next(one for one in NETS if one.name == "ssd")
    proto = net.proto()
    scale = {"scale": np.array(1 / 255, np.float32), "zero": np.array(0, np.uint8)}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in scale.items())
    last = next(node for node in proto.graph.node if "scores" in node.output)
    last.output[0] = "exact"
    nodes = [("QuantizeLinear", "exact", "rounded"), ("DequantizeLinear", "rounded", "scores")]
    proto.graph.node.extend(onnx.helper.make_node(op, [x, "scale", "zero"], [y]) for op, x, y in nodes)
    x = normal(1, 3, SIDE, SIDE)
    found, own = (onnxray.detect(one, x)[0] for one in (proto, net.proto()))
    assert [(box.label, box.corners) for box in found][:2] == [(box.label, box.corners) for box in own][:2]
    np.testing.assert_allclose(found[0].score, own[0].score, atol=0.5 / 255)
