"""Operators on quantised tensors have the gradients of the same net with its operators between pairs of Q and DQ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import normal
from onnxray.gradient_graph import differentiate

SHUFFLENET = Path(__file__).parents[3] / "shared/data/onnx/shufflenet-v2-12-int8.onnx"
HEAD = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>'
SCALES = "float s = {0.05}, uint8 z = {100}, float t = {0.08}, uint8 u = {90}, float o = {0.11}, uint8 v = {120}"
MS = "com.microsoft"
IMAGE, WEIGHT, ONE = (1, 2, 4, 4), (3, 2, 3, 3), (1,)
BOTH = "a = QuantizeLinear (x, s, z)  b = QuantizeLinear (w, t, u)"
PLAIN = "p = DequantizeLinear (a, s, z)  r = DequantizeLinear (b, t, u)"
BACK = "y = DequantizeLinear (q, o, v)"

# The operator, the same on real numbers, the shapes of both operands.
_POOL = "AveragePool <kernel_shape = [2, 2]>"
_OPERANDS = "(a, s, z, b, t, u, o, v)"
CASES = {
    "QLinearConv": (f"q = QLinearConv {_OPERANDS}", "c = Conv (p, r)", IMAGE, WEIGHT),
    "QLinearMatMul": (f"q = QLinearMatMul {_OPERANDS}", "c = MatMul (p, r)", (2, 3), (3, 4)),
    "QLinearAdd": (f"q = {MS}.QLinearAdd {_OPERANDS}", "c = Add (p, r)", (2, 3), (3,)),
    "QLinearMul": (f"q = {MS}.QLinearMul {_OPERANDS}", "c = Mul (p, r)", (2, 3), (2, 3)),
    "QLinearSigmoid": (f"q = {MS}.QLinearSigmoid (a, s, z, o, v)", "c = Sigmoid (p)", (2, 3), ONE),
    "QLinearLeakyRelu": (
        f"q = {MS}.QLinearLeakyRelu <alpha = 0.2> (a, s, z, o, v)",
        "c = LeakyRelu <alpha = 0.2> (p)",
        (2, 3),
        ONE,
    ),
    "QLinearAveragePool": (f"q = {MS}.QLinear{_POOL} (a, s, z, o, v)", f"c = {_POOL} (p)", IMAGE, ONE),
    "QLinearGlobalAveragePool": (
        f"q = {MS}.QLinearGlobalAveragePool (a, s, z, o, v)",
        "c = GlobalAveragePool (p)",
        IMAGE,
        ONE,
    ),
    "QLinearSoftmax": (
        f"q = {MS}.QLinearSoftmax <opset = 13, axis = -1> (a, s, z, o2, v2)",
        "c = Softmax <axis = -1> (p)",
        (2, 3),
        ONE,
    ),
    "QLinearConcat": (
        f"q = {MS}.QLinearConcat <axis = 1> (o, v, a, s, z, b, t, u)",
        "c = Concat <axis = 1> (p, r)",
        (2, 3),
        (2, 2),
    ),
}


def net(body: str, x: tuple[int, ...], w: tuple[int, ...], softmax: bool) -> onnx.ModelProto:
    scales = SCALES + ", float o2 = {0.00390625}, uint8 v2 = {0}"
    ends = BACK.replace("o, v", "o2, v2") if softmax else BACK
    shape = ", ".join(f"d{k}" for k in range(len(x)))
    x_, w_ = (", ".join(map(str, dims)) for dims in (x, w))
    return onnx.parser.parse_model(
        f"{HEAD} net (float[{x_}] x, float[{w_}] w) => (float[{shape}] y) <{scales}> {{ {BOTH} {body} {ends} }}"
    )


def gradients(model: onnx.ModelProto, feeds: dict[str, np.ndarray], dy: np.ndarray, wrt: list[str]) -> list[np.ndarray]:
    graph = differentiate(model, "y", wrt)
    results = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: dy})
    return [results[graph.gradients[x]] for x in wrt]


@pytest.mark.parametrize("op", CASES)
def test_as_between_q_and_dq(op: str) -> None:
    fused, plain, x, w = CASES[op]
    softmax, wrt = op == "QLinearSoftmax", ["x", "w"] if w != ONE else ["x"]
    ends = ("o2", "v2") if softmax else ("o", "v")
    models = [
        net(fused, x, w, softmax),
        net(f"{PLAIN} {plain} q = QuantizeLinear (c, {ends[0]}, {ends[1]})", x, w, softmax),
    ]
    feeds = {"x": normal(*x), "w": normal(*w, seed=1)}
    dy = normal(*run_on_runtime(models[0], feeds)["y"].shape, seed=2)
    for found, expected in zip(*(gradients(m, feeds, dy, wrt) for m in models), strict=True):
        assert np.count_nonzero(expected)
        np.testing.assert_allclose(found, expected, rtol=2e-2 if "Sigmoid" in op or softmax else 1e-3, atol=1e-3)


def test_saturated_outputs_let_nothing_through() -> None:
    model = net("q = QLinearMatMul (a, s, z, b, t, u, o, v)", (1, 2), (2, 2), softmax=False)
    feeds = {"x": np.array([[6.0, 6.0]]), "w": np.array([[8.0, 0.1], [8.0, 0.1]])}
    (dx,) = gradients(model, feeds, np.ones((1, 2)), ["x"])
    np.testing.assert_allclose(dx, [[0.08, 0.08]], rtol=1e-5)  # only the second column, whose weights round to 0.08


@pytest.mark.slow
@pytest.mark.skipif(not SHUFFLENET.exists(), reason=f"{SHUFFLENET} is not here")
def test_a_real_file() -> None:
    graph = differentiate(str(SHUFFLENET))
    x, dy = normal(1, 3, 224, 224), np.zeros((1, 1000))
    dy[0, 5] = 1
    found = run_on_runtime(graph.model, {"input": x, "seed_output": dy})["grad_input"]
    assert found.shape == (1, 3, 224, 224)
    assert np.isfinite(found).all()
    assert np.count_nonzero(found) > found.size / 2
