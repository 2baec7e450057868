"""Operators that onnxruntime's optimiser fuses give the same numbers when decomposed, and have a gradient."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from fused import CASES, HEAD, MS, RANKS, B, H, X, net
from gradcheck import distinct, normal
from onnxray.autodiff.expand_functions import expand_functions
from onnxray.errors import UnsupportedOperator
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load


@pytest.mark.parametrize("name", CASES)
def test_before_and_after(name: str) -> None:
    body, feeds = CASES[name]
    model = net(body, feeds, RANKS.get(name))
    program = load(model).copy()
    expand_functions(program, ["y"], ["x"])
    assert {node.domain for node in program.graph} == {""}
    before, after = (run_on_runtime(m, feeds)["y"] for m in (model, program.proto()))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    body, feeds = CASES[name]
    model, step = net(body, feeds, RANKS.get(name)), 1e-2 * min(1.0, float(np.abs(feeds["x"]).max()))
    weights, direction = normal(*run_on_runtime(model, feeds)["y"].shape, seed=5), normal(*feeds["x"].shape, seed=9)
    graph = differentiate(model, "y", "x")
    found = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: weights})[graph.gradients["x"]]
    ends = [np.sum(weights * run_on_runtime(model, {**feeds, "x": feeds["x"] + s * step * direction})["y"])
            for s in (1, -1, 0.5, -0.5)]  # fmt: skip
    numeric = (4 * (ends[2] - ends[3]) / step - (ends[0] - ends[1]) / (2 * step)) / 3
    scale = float(np.linalg.norm(found) * np.linalg.norm(direction))
    assert np.sum(found * direction) == pytest.approx(numeric, abs=(2e-2 if "Conv" in name else 2e-3) * scale)


def test_literals_have_the_type_of_what_earlier_rewrites_made_known() -> None:
    """An optimised file types nothing behind its own operators; a Reshape tells a rank, but no type."""
    text = f"""{HEAD} net (float[2, 3] x, float[3, 3] w) => (float[p, q] y) <int64[2] shape = {{3, 2}}> {{
        a = {MS}.FusedMatMul <alpha = 0.5> (x, w)  b = Reshape (a, shape)  c = Relu (b)
        y = {MS}.FusedMatMul <alpha = 0.25, transA = 1> (c, w)
    }}"""
    model, feeds = onnx.parser.parse_model(text), {"x": distinct(2, 3), "w": distinct(3, 3)}
    graph = differentiate(model, "y", "x")
    found = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: np.ones((2, 3))})["grad_x"]
    x, w = (feeds[name].astype(np.float64) for name in "xw")
    back = np.where((0.5 * x @ w).reshape(3, 2) > 0, 0.25 * w.sum(1, keepdims=True), 0)
    np.testing.assert_allclose(found, 0.5 * back.reshape(2, 3) @ w.T, rtol=1e-5)


def test_a_quantised_pool_with_channels_last() -> None:
    """Its forward pass stays in integers; the gradient goes straight through to the largest."""
    text = f"""{HEAD} net (float[1, 6, 6, 2] x) => (float[1, h, w, 2] y) <float s = {{0.05}}, uint8 z = {{128}}> {{
        q = QuantizeLinear (x, s, z) p = {MS}.NhwcMaxPool <kernel_shape = [2, 2], strides = [2, 2]> (q)
        y = DequantizeLinear (p, s, z)
    }}"""
    model, feeds = onnx.parser.parse_model(text), {"x": distinct(1, 6, 6, 2)}
    graph, y = differentiate(model, "y", "x"), run_on_runtime(model, feeds)["y"]
    results = run_on_runtime(graph.model, {**feeds, "seed_y": np.ones(y.shape)})
    np.testing.assert_array_equal(results["y"], y)
    blocks = feeds["x"].reshape(1, 3, 2, 3, 2, 2)
    largest = (blocks == blocks.max((2, 4), keepdims=True)).reshape(1, 6, 6, 2)
    np.testing.assert_array_equal(results["grad_x"], largest)


def test_the_cache_stays_what_it_was() -> None:
    """onnxruntime may write it in place, so that its node is kept for the outputs that are read."""
    body, feeds = CASES["GroupQueryAttention-past"]
    model = net(body, feeds)
    model.graph.output.append(onnx.helper.make_tensor_value_info("present", onnx.TensorProto.FLOAT, [B, 1, None, H]))
    before = run_on_runtime(model, feeds)
    graph = differentiate(model, "y", "x")
    after = run_on_runtime(graph.model, {**feeds, "seed_y": np.ones(before["y"].shape)})
    for name in ("y", "present"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-5)


def test_shapes_are_learnt_on_the_way() -> None:
    """Files seldom say what shape lies between two operators that the standard does not have."""
    text = f"""{HEAD} net (float[2, 3, 8] x, float[8, 24] w, float[24] b, float[8, 8] v) => (float[2, 3, 8] y) {{
        a = {MS}.Attention <num_heads = 2> (x, w, b) c = MatMul (a, v) d = {MS}.FastGelu (c)
        e = {MS}.Attention <num_heads = 2> (d, w, b) f = Transpose <perm = [0, 2, 1]> (e)
        h = {MS}.FusedMatMul <transA = 1> (f, v) y = Softmax (h)
    }}"""
    model = onnx.parser.parse_model(text)
    feeds = {"x": normal(2, 3, 8), "w": normal(8, 24), "b": normal(24), "v": normal(8, 8)}
    graph = differentiate(model, "y", "x")
    results = run_on_runtime(graph.model, {**feeds, "seed_y": normal(2, 3, 8, seed=3)})
    np.testing.assert_allclose(results["y"], run_on_runtime(model, feeds)["y"], rtol=1e-4)
    assert np.abs(results["grad_x"]).max() > 0


REFUSED = {
    "BiasDropout (x, b, , , t)": ({"x": X, "b": X, "t": np.array(True)}, "may be training"),
    "BiasSoftmax <axis = 1> (x, b)": ({"x": X, "b": X}, "several axes"),
    "MultiHeadAttention <num_heads = 2> (x, x, x, , m)": ({"x": X, "m": np.zeros(8, np.int32)}, "a mask of 8 numbers"),
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_not_spelled_out_is_named(body: str) -> None:
    feeds, reason = REFUSED[body]
    with pytest.raises(UnsupportedOperator, match=rf"com\.microsoft::{body.split()[0]} .*{reason}"):
        differentiate(net(body, feeds), "y", "x")


WITHOUT = {
    "MultiHeadAttention (x, x, x)": "num_heads",
    "Attention (x, w, b)": "num_heads",
    "GroupQueryAttention <num_heads = 2> (x, x, x, , , l, t)": "kv_num_heads",
    "RotaryEmbedding <rotary_embedding_dim = 2> (x, i, c, c)": "num_heads",
    "GroupNorm (x, b, b)": "groups",
    "MatMulNBits <K = 4, N = 4, bits = 4> (x, q, b)": "block_size",
    "MatMulNBits <K = 4, bits = 4, block_size = 16> (x, q, b)": "N",
}


@pytest.mark.parametrize("body", WITHOUT)
def test_an_attribute_that_is_missing_is_named(body: str) -> None:
    """The standard has no schemas of these operators, so that no check of the file finds it."""
    feeds = {"x": X, "w": normal(4, 12), "b": normal(12), "c": normal(5, 1)}
    feeds |= {
        "l": np.array([2], np.int32),
        "t": np.array(3, np.int32),
        "i": np.array([0]),
        "q": np.zeros((4, 1, 8), "u1"),
    }
    reason = rf"com\.microsoft::{body.split()[0]} \(node 'layer'\) .*: its attribute '{WITHOUT[body]}' is missing"
    model = net(body, feeds)
    model.graph.node[0].name = "layer"
    with pytest.raises(UnsupportedOperator, match=reason):
        differentiate(model, "y", "x")


def test_a_file_for_one_processor_says_so() -> None:
    text = (
        HEAD.replace(MS, "com.microsoft.nchwc")
        + """ net (float[1, 8, 4, 4] x, float[8, 8, 1, 1] w)
        => (float[1, 8, 4, 4] y) { y = com.microsoft.nchwc.Conv (x, w) }"""
    )
    with pytest.raises(UnsupportedOperator, match="ORT_ENABLE_EXTENDED"):
        differentiate(onnx.parser.parse_model(text), "y", "x")
