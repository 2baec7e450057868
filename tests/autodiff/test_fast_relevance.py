"""The forms that LRP and DeepLIFT take for speed on the CPU compute what the formulas and the plain forms do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from by_hand import Array, model, normal
from measures import distance
from onnxray.attribution.plan import explanation_graph
from onnxray.autodiff.lrp_overlay import Composite
from onnxray.autodiff.relevance import Z_PLUS, LayerRule, alpha_beta, gamma
from onnxray.graph.builder import Lowering
from onnxray.methods import method_named
from relevances import Spread, epsilon, z_plus
from relevances import alpha_beta as by_alpha_beta
from relevances import gamma as by_gamma


def narrow(channels: int) -> tuple[Any, Array, dict[str, Array]]:
    """A 1x1 convolution of an image with both signs and zeros, and a dense layer."""
    text = (
        f"net (float[N, {channels}, 2, 3] x) => (float[N, 4] y) {{ h = Conv(x, W, c) f = Flatten(h) y = Gemm(f, G) }}"
    )
    weights = {"W": normal(7, channels, 1, 1, seed=1), "c": normal(7, seed=2), "G": normal(42, 4, seed=3)}
    x = normal(2, channels, 2, 3, seed=4)
    x[:, ::3, 1] = 0
    return model(text, weights), x, weights


@pytest.mark.parametrize("channels", [3, 7, 32])
@pytest.mark.parametrize(
    ("rule", "formula"), [(Z_PLUS, z_plus), (alpha_beta(3, 2), by_alpha_beta(3, 2)), (gamma(0.4), by_gamma(0.4))]
)
def test_both_signs_of_an_image_are_one_by_the_formulas(channels: int, rule: LayerRule, formula: Spread) -> None:
    proto, x, weights = narrow(channels)
    explainer = onnxray.Explainer(proto, "input-x-gradient", rules=Composite("one", layers={"Conv": rule}))
    rows = x.transpose(0, 2, 3, 1).reshape(-1, channels).astype(np.float64)
    w, b, dense = weights["W"][:, :, 0, 0].T.astype(np.float64), weights["c"], weights["G"].astype(np.float64)
    h = (rows @ w + b).reshape(2, 2, 3, 7).transpose(0, 3, 1, 2).reshape(2, -1)
    of_h = epsilon(h, dense, np.zeros(4), (h @ dense) * np.eye(4)[1])
    of_rows = formula(rows, w, b, of_h.reshape(2, 7, 2, 3).transpose(0, 2, 3, 1).reshape(-1, 7))
    truth = of_rows.reshape(2, 2, 3, channels).transpose(0, 3, 1, 2)
    assert distance(explainer(x, target=1).values, truth) <= 5e-6


@pytest.mark.parametrize("lowering", ["cpu", "portable"])
def test_the_sum_before_a_relu_is_found_by_magnitudes(lowering: Lowering, tmp_path: Path) -> None:
    """By half of the products that both signs of a picture would take, and by the formula."""
    text = "h = Conv(x, W, c) r = Relu(h) f = Flatten(r) y = Gemm(f, G)"
    weights = {"W": normal(7, 3, 1, 1, seed=1), "c": normal(7, seed=2), "G": normal(42, 4, seed=3)}
    x = normal(2, 3, 2, 3, seed=4)
    rules, made = Composite("one", layers={"Conv": Z_PLUS}), method_named("input-x-gradient", None, {})
    proto = onnxray.load(model(f"net (float[N, 3, 2, 3] x) => (float[N, 4] y) {{ {text} }}", weights))
    nodes = list(explanation_graph(proto, made, lowering=lowering, rules=rules).model.graph)
    read = [node.inputs[0].producer() for node in nodes if node.op_type == "Conv"]
    assert [maker.op_type for maker in read if maker is not None and maker.op_type in ("Abs", "Concat")] == ["Abs"]
    rows, w, b = x.transpose(0, 2, 3, 1).reshape(-1, 3).astype(np.float64), weights["W"][:, :, 0, 0].T, weights["c"]
    h = np.maximum(rows @ w + b, 0).reshape(2, 2, 3, 7).transpose(0, 3, 1, 2).reshape(2, -1)
    of_h = epsilon(h, weights["G"], np.zeros(4), (h @ weights["G"]) * np.eye(4)[1])
    of_rows = z_plus(rows, w, b, of_h.reshape(2, 7, 2, 3).transpose(0, 2, 3, 1).reshape(-1, 7))
    explainer = onnxray.Explainer(proto, "input-x-gradient", rules=rules)
    session = ort.InferenceSession(explainer.save(tmp_path / "saved.onnx"), providers=["CPUExecutionProvider"])
    (saved,) = session.run(["attribution"], {"x": x, "target": np.array([1, 1])})
    found = explainer(x, target=1).values if lowering == "cpu" else saved
    assert distance(found, of_rows.reshape(2, 2, 3, 3).transpose(0, 3, 1, 2)) <= 5e-6


@pytest.mark.parametrize("channels", [3, 7, 32])
def test_zeros_count_as_positive_in_one_image_of_both_signs(channels: int, tmp_path: Any) -> None:
    proto, x, _ = narrow(channels)
    explainer = onnxray.Explainer(proto, "saliency", rules=Composite("one", layers={"Conv": Z_PLUS}))
    session = ort.InferenceSession(explainer.save(tmp_path / "saved.onnx"), providers=["CPUExecutionProvider"])
    (saved,) = session.run(["attribution"], {"x": x, "target": np.array([1, 1])})
    assert distance(explainer(x, target=1).values, saved) <= 5e-6


@pytest.mark.parametrize("method", ["deep-lift", "lrp"])
def test_a_clip_whose_input_is_kept_is_a_part_of_a_conv(method: str) -> None:
    weights = {"A": normal(16, 3, 3, 3), "B": normal(5, 16, 3, 3, seed=1)}
    text = "a = Conv(x, A) b = Clip(a, low, high) c = Conv(b, B) p = GlobalMaxPool(c) y = Flatten(p)"
    bounds = {"low": np.float32(0), "high": np.float32(6)}
    net = model(f"net (float[N, 3, 9, 8] x) => (float[N, 5] y) {{ {text} }}", weights | bounds)
    made = method_named(method, None, {"composite": "epsilon"} if method == "lrp" else {})
    nodes = list(explanation_graph(onnxray.load(net), made, lowering="cpu").model.graph)
    depthwise = {
        node.outputs[0] for node in nodes if node.op_type == "Conv" and node.attributes.get_int("group", 1) == 16
    }
    read = {node.inputs[0] for node in nodes if node.op_type == "Conv"}
    clips = [node for node in nodes if node.op_type == "Clip" and node.inputs[0] in depthwise]
    assert [clip.outputs[0] in read for clip in clips] == [True]
    assert sum(node.op_type == "Clip" and node.outputs[0] in read for node in nodes) == 1 + (method == "deep-lift")


@pytest.mark.parametrize("method", ["deep-lift", "lrp"])
def test_a_quick_conv_in_front_of_a_clip_is_computed_again(method: str, tmp_path: Path) -> None:
    weights = {"A": normal(16, 3, 1, 1), "B": normal(5, 16, 3, 3, seed=1)}
    text = "a = Conv (x, A) b = Clip(a, low, high) c = Conv(b, B) p = GlobalMaxPool(c) y = Flatten(p)"
    bounds = {"low": np.float32(0), "high": np.float32(6)}
    net = model(f"net (float[N, 3, 9, 8] x) => (float[N, 5] y) {{ {text} }}", weights | bounds)
    options = {"composite": "epsilon"} if method == "lrp" else {}
    plan = explanation_graph(onnxray.load(net), method_named(method, None, options), lowering="cpu")
    of_x = [node for node in plan.model.graph if node.op_type == "Conv" and node.inputs[0].name == "x"]
    assert [[user.op_type for user, _ in node.outputs[0].uses()].count("Clip") for node in of_x] == [1, 1]
    assert sorted(len(node.outputs[0].uses()) > 1 for node in of_x) == [False, True]
    settings = ort.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(plan.model.proto().SerializeToString(), settings, providers=["CPUExecutionProvider"])
    optimised = onnx.load(settings.optimized_model_filepath).graph.node
    assert sorted(node.op_type for node in optimised if node.input[:1] == ["x"] and "Conv" in node.op_type) == [
        "Conv", "FusedConv",
    ]  # fmt: skip


def test_the_sum_of_a_layer_is_computed_behind_the_relevance() -> None:
    weights = {"A": normal(16, 3, 3, 3), "a": normal(16, seed=2), "G": normal(16, 4, seed=3)}
    text = "h = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (p, A, a) r = Relu(h) q = GlobalAveragePool(r)"
    whole = f"p = Relu(x) {text} f = Flatten(q) y = Gemm(f, G)"
    net = onnxray.load(model(f"net (float[N, 3, 9, 8] x) => (float[N, 4] y) {{ {whole} }}", weights))
    rules = Composite("one", layers={"Conv": Z_PLUS})
    for lowering, kept in (("cpu", ["Reshape"]), ("portable", [])):
        plan = explanation_graph(net, method_named("saliency", None, {}), lowering=lowering, rules=rules)
        nodes = list(plan.model.graph)
        divisors = [node.inputs[1] for node in nodes if node.op_type == "Div" and len(node.inputs[1].shape) == 4]
        assert [one.producer().op_type for one in divisors if one.producer().op_type == "Reshape"] == kept
        assert not any(node.op_type == "NonZero" for node in nodes), "a shape that is known"
