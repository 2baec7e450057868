"""If, Loop and Scan: through carried states, scanned inputs and what they capture, nested, against differences."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import normal
from onnxray.autodiff.registry import FLOWS
from onnxray.errors import UnsupportedOperator
from onnxray.gradient_graph import differentiate

_HEAD = '<ir_version: 10, opset_import: ["" : 18]>'

BRANCH = """
g (float[3] x, float[3] w, bool flag) => (float[3] y) {
    h = Tanh (x)
    y = If (flag) <then_branch = a () => (float[3] p) { p = Mul (h, w) },
                   else_branch = b () => (float[3] q) { r = Sin (w)  q = Mul (r, r) }>
}"""

LOOP = """
g (float[3] x, float[3] w, int64 count, bool flag) => (float[3] y, float[n, 3] trace) {
    y, trace = Loop (count, flag, x) <body = step (int64 i, bool go, float[3] s) => (bool on, float[3] t, float[3] u) {
        on = Identity (go)
        k = Cast <to = 1> (i)
        m = Mul (s, w)
        a = Add (m, k)
        t = Tanh (a)
        u = Mul (t, x)
    }>
}"""

SCAN = """
g (float[2] s0, float[T, 2] x, float[2] w) => (float[2] s, float[T, 2] y) {
    s, y = Scan <num_scan_inputs = 1, scan_input_directions = [WAY], scan_output_directions = [1],
                 body = step (float[2] h, float[2] v) => (float[2] k, float[2] o) {
        a = Mul (h, w)
        b = Add (a, v)
        k = Tanh (b)
        o = Mul (k, v)
    }> (s0, x)
}"""

NESTED = """
g (float[3] x, int64 count, bool flag) => (float[3] y) {
    y = Loop (count, flag, x) <body = outer (int64 i, bool go, float[3] s) => (bool on, float[3] t) {
        on = Identity (go)
        two = Constant <value = int64 {2}> ()
        p = Loop (two, go, s) <body = inner (int64 j, bool go2, float[3] a) => (bool on2, float[3] b) {
            on2 = Identity (go2)
            c = Mul (a, x)
            b = Sin (c)
        }>
        zero = Constant <value = int64 {0}> ()
        first = Equal (i, zero)
        t = If (first) <then_branch = d () => (float[3] e) { e = Mul (p, p) }, else_branch = f () => (float[3] h) { h = Neg (p) }>
    }>
}"""  # noqa: E501

CASES = {
    "then": (BRANCH, {"x": normal(3), "w": normal(3, seed=1), "flag": np.array(True)}),
    "else": (BRANCH, {"x": normal(3), "w": normal(3, seed=1), "flag": np.array(False)}),
    "loop": (LOOP, {"x": normal(3), "w": normal(3, seed=1), "count": np.array(4), "flag": np.array(True)}),
    "no-step": (LOOP, {"x": normal(3), "w": normal(3, seed=1), "count": np.array(4), "flag": np.array(False)}),
    "scan": (SCAN.replace("WAY", "0"), {"s0": normal(2), "x": normal(5, 2), "w": normal(2, seed=1)}),
    "scan-backwards": (SCAN.replace("WAY", "1"), {"s0": normal(2), "x": normal(5, 2), "w": normal(2, seed=1)}),
    "nested": (NESTED, {"x": normal(3), "count": np.array(3), "flag": np.array(True)}),
}


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    text, feeds = CASES[name]
    model = onnx.parser.parse_model(_HEAD + text)
    outputs = run_on_runtime(model, feeds)
    weights = {y: normal(*array.shape, seed=5 + k) for k, (y, array) in enumerate(outputs.items())}
    for x in (x for x, array in feeds.items() if array.dtype == np.float64):
        graph = differentiate(model, list(outputs), [x])
        onnx.checker.check_model(graph.model, full_check=True)
        seeds = {graph.seeds[y]: w for y, w in weights.items()}
        found = run_on_runtime(graph.model, {**feeds, **seeds})[graph.gradients[x]]
        direction, step = normal(*feeds[x].shape, seed=9), 1e-2
        ends = [run_on_runtime(model, {**feeds, x: feeds[x] + s * step * direction}) for s in (1, -1, 0.5, -0.5)]
        sums = [sum(np.sum(weights[y] * end[y]) for y in weights) for end in ends]
        numeric = (4 * (sums[2] - sums[3]) / step - (sums[0] - sums[1]) / (2 * step)) / 3
        assert np.sum(found * direction) == pytest.approx(numeric, rel=2e-3, abs=1e-3), x


CARRIED = """
g (float[T, 2] x, float[2, 3] w) => (float[T, 3] y, float[T, 2] z) {
    two = Constant <value = int64 {2}> ()
    h = Loop (two, "", x) <body = step (int64 i, bool go, float[T, 2] s) => (bool on, float[T, 2] t) {
        on = Identity (go)  t = Sin (s)
    }>
    y = MatMul (h, w)
    s0 = Constant <value = float[2] {1, 2}> ()
    s1, z = Scan <num_scan_inputs = 1, body = add (float[2] a, float[2] v) => (float[2] b, float[2] o) {
        m = ReduceMax <keepdims = 0> (h)  b = Add (a, v)  o = Mul (b, m)
    }> (s0, h)
}"""


def test_what_a_loop_carries_keeps_the_rank_that_its_body_declares() -> None:
    """The standard's inference knows none; a product behind the loop, and a Scan that captures it, need it."""
    model, x, w = onnx.parser.parse_model(_HEAD + CARRIED), normal(4, 2), normal(2, 3, seed=1)
    graph = differentiate(model, ["y", "z"], ["x"])
    onnx.checker.check_model(graph.model, full_check=True)
    found = run_on_runtime(graph.model, {"x": x, "w": w, "seed_y": normal(4, 3), "seed_z": np.zeros((4, 2))})
    expected = normal(4, 3) @ w.T * np.cos(np.sin(x)) * np.cos(x)
    np.testing.assert_allclose(found["grad_x"], expected, rtol=1e-4, atol=1e-5)


def test_a_scan_that_captures_what_has_no_rank_is_refused() -> None:
    model = onnx.parser.parse_model(_HEAD + CARRIED)
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    for value in (loop.attribute[0].g.input[2], loop.attribute[0].g.output[1]):
        value.type.tensor_type.ClearField("shape")
    with pytest.raises(UnsupportedOperator, match="it reads 'h', whose rank is not known before the model runs"):
        differentiate(model, "z", "x")


def test_a_tensor_may_be_optional() -> None:
    model = onnx.parser.parse_model(
        f"{_HEAD} g (float[3] x) => (float[3] y) {{ e = OptionalGetElement (x)  y = Mul (e, x) }}"
    )
    found = run_on_runtime(differentiate(model).model, {"x": normal(3), "seed_y": np.ones(3)})["grad_x"]
    np.testing.assert_allclose(found, 2 * normal(3), rtol=1e-5)


def test_every_flow_rule_is_tried() -> None:
    assert {op for _, op in FLOWS} == {"If", "Loop", "Scan"}
