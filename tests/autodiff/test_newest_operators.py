"""Operators of the suite that onnxruntime does not run yet: differences of onnx's reference, gradients on onnxruntime.

The gradient's graph is written in what onnxruntime knows: an opset that it has, and newer operators by their bodies.
"""

from __future__ import annotations

from typing import Any

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

NEWEST = ("causal_conv", "linear_attention", "swiglu")
LAYOUTS = ("gru_batchwise", "lstm_batchwise", "simple_rnn_batchwise")
FILES = ("causal_conv_with_state", "gru", "linear_attention", "lstm", "rnn", "swiglu")
STARTS = (*NEWEST, *LAYOUTS)
UNKNOWN = ("CausalConvWithState", "LinearAttention", "SwiGLU", "Swish")
OPSET, STEP = 23, 2e-2
CASES = [  # written out, as making them takes time, and every process of pytest-xdist collects
    *("gru_batchwise", "lstm_batchwise", "simple_rnn_batchwise", "swiglu", "swiglu_alpha", "swiglu_float16"),
    *(f"causal_conv_with_state_{rest}" for rest in (
        "b1_c1_degenerate", "basic", "decode_step", "fp16", "kernel_size_one", "short_input_no_past_state", "silu",
        "silu_fp16", "silu_with_past_state", "swish_alias", "with_bias", "with_bias_and_past_state", "with_past_state",
    )),
    *(f"linear_attention_{rest}" for rest in (
        "decode_step", "delta", "explicit_scale", "fp16", "gated", "gated_delta", "gated_delta_beta_scalar",
        "gated_delta_gqa", "gated_delta_mqa", "gated_per_head_decay", "linear", "linear_t1_no_past",
        "no_past_explicit_zeros", "prefill_with_past",
    )),
]  # fmt: skip


def runnable(model: onnx.ModelProto) -> onnx.ModelProto:
    program = load(model).copy().program
    while expand_nodes(program, [node for node in program.graph if node.op_type in UNKNOWN]):
        pass
    program.graph.opset_imports[""], program.ir_version = OPSET, 10
    return ir.to_proto(program)


@pytest.fixture(scope="module")
def newest() -> dict[str, Any]:
    """The suite's cases of the newest operators and layouts, by name."""
    found = {case.name.removeprefix("test_"): case for case in suite.cases_of(*FILES)}
    return {name: case for name, case in found.items() if name.startswith(STARTS) and "expanded" not in name}


@pytest.mark.parametrize("name", CASES)
def test_against_differences(newest: dict[str, Any], name: str) -> None:
    check(newest[name])


def test_cases_that_a_newer_onnx_adds(newest: dict[str, Any]) -> None:
    for name in newest.keys() - set(CASES):
        check(newest[name])


def check(case: Any) -> None:
    inputs, _ = case.data_sets[0]
    given = {i.name: np.asarray(x) for i, x in zip(case.model.graph.input, inputs, strict=True)}
    outputs = evaluate(case.model, given)
    weights = {y: normal(*np.shape(x), seed=7 + k) for k, (y, x) in enumerate(outputs.items())}
    half = any(x.dtype == np.float16 for x in given.values())
    graph = differentiate(case.model)
    seeds = {graph.seeds[y]: w for y, w in weights.items()}
    found = run_on_runtime(runnable(graph.model), {**given, **seeds})
    for x, dx in graph.gradients.items():
        direction = normal(*given[x].shape, seed=11)
        ends = [evaluate(case.model, {**given, x: (given[x] + s * STEP * direction).astype(given[x].dtype)})
                for s in (1, -1, 0.5, -0.5)]  # fmt: skip
        sums = [sum(float(np.sum(w * end[y].astype(np.float64))) for y, w in weights.items()) for end in ends]
        numeric = (4 * (sums[2] - sums[3]) / STEP - (sums[0] - sums[1]) / (2 * STEP)) / 3
        scale = float(np.linalg.norm(found[dx].astype(np.float64)) * np.linalg.norm(direction))
        analytic = np.sum(found[dx].astype(np.float64) * direction)
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
