"""The files of a comparison: the HTML page and JSON."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from held_out import digits
from onnxray import Comparison, compare, models
from onnxray.gate.layers.compare_layers import LayerLoss
from onnxray.gate.layers.randomise import randomised
from onnxray.gate.reports.graph_picture import graph_picture, layer_edges, losses
from PIL import Image

DIGITS, CANCER = models.path("digits.onnx"), models.path("breast_cancer.onnx")
X = digits().unseen[:6, None].astype(np.float32) / 255


@pytest.fixture(scope="module")
def found() -> Comparison:
    bad = np.concatenate([X, X[:1] * np.nan])
    other = randomised(onnxray.load(DIGITS), 0, share=0.2)
    return compare(DIGITS, other, bad, calibrate=True, threads=1, steps=8)


@pytest.fixture(scope="module")
def page(found: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found.report(tmp_path_factory.mktemp("report"))


def test_the_page_needs_no_network(page: Path, found: Comparison) -> None:
    text = page.read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert not re.findall(r"url\((?!data:)|@import|<link|<script", text)
    assert len(text) < 3_000_000
    assert text.index("FAIL") < text.index("Distribution") < text.index("Worst samples") < text.index("Provenance")
    assert found.layers is not None
    assert "sample:6" in text
    assert ">saliency, input-x-gradient, integrated-gradients, grad-cam</td>" in text
    assert re.search(r">onnxray [\d.]+, onnxruntime", text)
    assert "None" not in text
    assert f'"broken">{found.layers.breaks}' in text


def test_the_graph_is_drawn_with_its_branches_and_what_each_layer_loses(page: Path) -> None:
    assert page.read_text().count('<img id="graph"') == 1
    text = """<ir_version: 8, opset_import: ["" : 18]> net (float[1, 4] x) => (float[1, 4] y) {
        a = Sin (x)  b = Cos (a)  c = Tanh (a)  d = Add (b, c)  e = Relu (d)  f = Add (a, e)  y = Neg (f) }"""
    graph = onnxray.load(onnx.parser.parse_model(text)).graph
    layers = [loss(name, value) for name, value in zip("abcdy", (0.0, 0.5, None, 1.0, 1.5), strict=True)]
    assert list(layer_edges(layers, graph)) == [(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (3, 4)]
    assert losses(layers) == ("loss of evidence: 1 − cosine", [0.0, 0.5, None, 1.0, 1.5])
    assert losses([replace(one, attribution=None) for one in layers])[1] == [0.25] * 5
    drawn = svg(graph_picture(layers, graph, "b"))
    red = re.findall(r"fill: (#\w+)", drawn)
    assert {"#ffffff", "#d88c95", "#eeeeee", "#b2182b"} <= set(red)  # nothing, half, unknown and all of it lost
    assert drawn.count("stroke: #b2182b") == 1  # where evidence breaks
    many = svg(graph_picture([loss(f"layer{k}", 0.1) for k in range(100)], None, None))
    assert width(many) == 4 * width(drawn)


def loss(name: str, value: float | None) -> LayerLoss:
    """A layer of which this much evidence is lost."""
    cosine = None if value is None else 1 - value
    return LayerLoss(name, name, name, name, "Conv", "name", 0.25, 0.1, None, cosine)


def width(drawn: str) -> float:
    return float(re.findall(r'width="([\d.]+)pt"', drawn)[0])


def svg(address: str) -> str:
    return base64.b64decode(address.partition("base64,")[2]).decode()


def test_maps_of_layers_are_drawn_at_the_size_of_the_picture(tmp_path: Path) -> None:
    """Those of grad-cam have 7 x 7 places, the picture 28 x 28."""
    found = compare(DIGITS, DIGITS, [models.path("digit.png")], methods="grad-cam", layers=False, labels={6: "six"})
    text = found.report(tmp_path).read_text()
    drawn = re.search(r'alt="reference" src="data:image/png;base64,([^"]+)"', text)
    assert drawn is not None
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn[1])))).reshape(-1, 3), axis=0)) > 49
    assert "six (6)" in text


def test_names_are_escaped(tmp_path: Path) -> None:
    names = tmp_path / "<b>&.png"
    shutil.copy(models.path("digit.png"), names)
    text = compare(DIGITS, DIGITS, [names], methods="saliency").report(tmp_path).read_text()
    assert "&lt;b&gt;&amp;.png" in text
    assert "<b>&.png" not in text


def test_a_table_has_a_page_too(tmp_path: Path) -> None:
    page = compare(CANCER, CANCER, models.path("breast_cancer.csv"), methods=["saliency"]).report(
        tmp_path / "new" / "folder"
    )
    assert "PASS" in page.read_text()


def test_json(found: Comparison) -> None:
    record = json.loads(found.json_text())
    assert (record["verdict"], len(record["samples"]), len(record["failed"])) == ("fail", 6, 1)
    assert {"versions", "reference", "candidate", "seed", "methods"} <= set(record["provenance"])
