"""Operators that onnxruntime has in the standard's domain, though no opset has them, load, run and have a gradient."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnxray
import pytest
from differences import run_on_runtime
from gradcheck import away, normal, positive
from onnxray.errors import UnsupportedOperator

IMAGE = {"x": away(2, 3, 6, 5, kinks=(0.0, 0.7))}
ROWS = {"x": normal(2, 3, 4), "s": positive(4)}
# Opset, operator with its attributes, inputs.
CASES = {
    "LayerNormalization": (12, "LayerNormalization <axis = -1, epsilon = 0.01> (x, s, b)", {**ROWS, "b": normal(4)}),
    "LayerNormalization-11": (11, "LayerNormalization (x, s, b)", {**ROWS, "b": normal(4)}),
    "SimplifiedLayerNormalization": (18, "SimplifiedLayerNormalization <axis = -1, epsilon = 0.01> (x, s)", ROWS),
    "SimplifiedLayerNormalization-axes": (
        14,
        "SimplifiedLayerNormalization <axis = 1> (x, s)",
        {"x": normal(2, 3, 4), "s": positive(3, 4)},
    ),
    "ImageScaler": (8, "ImageScaler <scale = 0.5, bias = [0.1, -0.2, 0.3]> (x)", IMAGE),
    "Affine": (8, "Affine <alpha = 2.0, beta = 0.5> (x)", IMAGE),
    "Scale": (8, "Scale <scale = 3.0> (x)", IMAGE),
    "ParametricSoftplus": (9, "ParametricSoftplus <alpha = 2.0, beta = 0.5> (x)", IMAGE),
    "ScaledTanh": (9, "ScaledTanh <alpha = 2.0, beta = 0.5> (x)", IMAGE),
    "ThresholdedRelu": (8, "ThresholdedRelu <alpha = 0.7> (x)", IMAGE),
    "Crop": (8, "Crop <border = [1, 2, 1, 0]> (x)", IMAGE),
    "Crop-size": (8, "Crop <border = [1, 2, 1, 0], scale = [3, 2]> (x)", IMAGE),
}


def net(name: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    opset, call, feeds = CASES[name]
    inputs = ", ".join(f"float[N{k}, {', '.join(map(str, a.shape[1:]))}] {k}" if a.ndim > 1 else f"float[{len(a)}] {k}"
                       for k, a in feeds.items())  # fmt: skip
    free = ", ".join(f"d{k}" for k in range(feeds["x"].ndim))
    text = f'<ir_version: 7, opset_import: ["" : {opset}]> net ({inputs}) => (float[{free}] y) {{ y = {call} }}'
    return onnx.parser.parse_model(text), feeds


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_it_said_and_has_a_gradient(name: str) -> None:
    model, feeds = net(name)
    before = run_on_runtime(model, feeds)["y"]
    graph = onnxray.differentiate(model)
    onnx.checker.check_model(graph.model, full_check=True)
    weights, direction = normal(*before.shape, seed=5), normal(*feeds["x"].shape, seed=9)
    results = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: weights})
    np.testing.assert_allclose(results["y"], before, rtol=1e-4, atol=1e-5)
    ahead, behind = (run_on_runtime(model, {**feeds, "x": feeds["x"] + s * 1e-2 * direction})["y"] for s in (1, -1))
    found = results[graph.gradients["x"]]
    scale = float(np.linalg.norm(found) * np.linalg.norm(direction))
    assert np.sum(found * direction) == pytest.approx(np.sum(weights * (ahead - behind)) / 2e-2, abs=2e-3 * scale)


def test_half_precision_normalises_in_float32() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> net (float16[2, 64] x, float16[64] s) => (float16[2, 64] y)
        { y = SimplifiedLayerNormalization <axis = -1, stash_type = 1> (x, s) }"""
    model, feeds = onnx.parser.parse_model(text), {"x": 300 * normal(2, 64), "s": positive(64)}
    after = run_on_runtime(onnxray.load(model).proto(), feeds)["y"]
    np.testing.assert_allclose(after, run_on_runtime(model, feeds)["y"], rtol=2e-3)


def test_others_are_still_refused() -> None:
    text = '<ir_version: 7, opset_import: ["" : 12]> net (float[2] x) => (float[2] y) { y = Mystery (x) }'
    with pytest.raises(UnsupportedOperator, match=r"Mystery .* is none of ONNX opset 12"):
        onnxray.load(onnx.parser.parse_model(text))


def test_complementary_error_function_of_tensorflow() -> None:
    """tf2onnx leaves it in Keras' own exports, which onnxruntime then does not load."""
    model, feeds = net("Affine")
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Erfc", ["x"], ["y"]))
    model.opset_import[0].version = 15
    graph = onnxray.differentiate(model)
    results = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: np.ones_like(feeds["x"])})
    np.testing.assert_allclose(results["y"], np.vectorize(math.erfc)(feeds["x"]), atol=1e-6)
    slope = -2 / math.sqrt(math.pi) * np.exp(-(feeds["x"] ** 2))
    np.testing.assert_allclose(results[graph.gradients["x"]], slope, rtol=1e-4, atol=1e-6)
