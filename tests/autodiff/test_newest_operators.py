"""Operators of the suite that onnxruntime does not run yet: differences of onnx's reference, gradients on onnxruntime.

The gradient's graph is written in what onnxruntime knows: an opset that it has, and newer operators by their bodies.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import suite
from differences import run_on_runtime
from gradcheck import evaluate, normal
from onnxray.errors import UnsupportedOperator
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load
from onnxray.passes.expand import expand_nodes

NEWEST = ("test_causal_conv", "test_linear_attention", "test_swiglu")
LAYOUTS = ("test_gru_batchwise", "test_lstm_batchwise", "test_simple_rnn_batchwise")
UNKNOWN = ("CausalConvWithState", "LinearAttention", "SwiGLU", "Swish")
OPSET, STEP = 23, 2e-2
CASES = [case for case in suite.cases() if case.name.startswith((*NEWEST, *LAYOUTS)) and "expanded" not in case.name]


def runnable(model: onnx.ModelProto) -> onnx.ModelProto:
    program = load(model).copy().program
    while expand_nodes(program, [node for node in program.graph if node.op_type in UNKNOWN]):
        pass
    program.graph.opset_imports[""], program.ir_version = OPSET, 10
    return ir.to_proto(program)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removeprefix("test_"))
def test_against_differences(case) -> None:
    inputs, _ = case.data_sets[0]
    given = {i.name: np.asarray(x) for i, x in zip(case.model.graph.input, inputs, strict=True)}
    outputs = evaluate(case.model, given)
    weights = {y: normal(*np.shape(x), seed=7 + k) for k, (y, x) in enumerate(outputs.items())}
    half = any(x.dtype == np.float16 for x in given.values())
    graph = differentiate(case.model)
    seeds = {graph.seeds[y]: w for y, w in weights.items()}
    found = run_on_runtime(runnable(graph.model), {**given, **seeds})
    for x, name in graph.gradients.items():
        direction = normal(*given[x].shape, seed=11)
        ends = [evaluate(case.model, {**given, x: (given[x] + s * STEP * direction).astype(given[x].dtype)})
                for s in (1, -1, 0.5, -0.5)]  # fmt: skip
        sums = [sum(float(np.sum(w * end[y].astype(np.float64))) for y, w in weights.items()) for end in ends]
        numeric = (4 * (sums[2] - sums[3]) / STEP - (sums[0] - sums[1]) / (2 * STEP)) / 3
        scale = float(np.linalg.norm(found[name].astype(np.float64)) * np.linalg.norm(direction))
        analytic = np.sum(found[name].astype(np.float64) * direction)
        assert analytic == pytest.approx(numeric, abs=(5e-2 if half else 5e-3) * scale + 1e-3), x


def test_a_function_that_takes_graphs_is_refused_by_name() -> None:
    text = """<ir_version: 10, opset_import: ["" : 23, "ai.onnx.preview" : 1]>
        net (float[1, 2, 3, 4] q) => (float[1, 2, 3, 4] y) {
        y = ai.onnx.preview.FlexAttention <score_mod = f (float s) => (float t) { t = Neg (s) }> (q, q, q) }"""
    with pytest.raises(UnsupportedOperator, match=r"ai\.onnx\.preview::FlexAttention"):
        differentiate(onnx.parser.parse_model(text), "y", "q")


def test_a_remainder_of_an_infinite_divisor() -> None:
    """Of opset 28 a small negative number and an infinite divisor give the divisor: the quotient is -1, not NaN."""
    text = """<ir_version: 13, opset_import: ["" : 28]>
        net (float[4] a, float[4] b) => (float[4] y) { y = Mod <fmod = 0> (a, b) }"""
    graph = differentiate(onnx.parser.parse_model(text))
    divisors, seed = np.array([np.inf, np.inf, -np.inf, 2], np.float32), np.array([0, 1, 1, 1], np.float32)
    feeds = {"a": np.array([-3, 3, -1, -5], np.float32), "b": divisors, graph.seeds["y"]: seed}
    try:
        found = run_on_runtime(graph.model, feeds)
    except Exception as error:  # noqa: BLE001  it raises a dozen types
        pytest.skip(f"this onnxruntime does not run opset 28: {error}")
    np.testing.assert_array_equal(found[graph.gradients["a"]], seed)
    np.testing.assert_array_equal(found[graph.gradients["b"]], [0, 0, 0, 3])
