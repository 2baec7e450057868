"""What onnxruntime's optimiser fuses gives the same numbers when it is spelled out, and has a gradient."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import normal
from onnxray.errors import UnsupportedOperator
from onnxray.gradient import differentiate
from onnxray.model import load
from onnxray.passes.expand import expand_functions
from onnxray.passes.fused import _SPELLS

HEAD = '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>'
MS = "com.microsoft"
MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32)

# The node, then its inputs; x is differentiated.
CASES = {
    "Gelu": ("Gelu (x)", {"x": normal(2, 3)}),
    "BiasGelu": ("BiasGelu (x, b)", {"x": normal(2, 3), "b": normal(3)}),
    "FastGelu": ("FastGelu (x, b)", {"x": normal(2, 3), "b": normal(3)}),
    "QuickGelu": ("QuickGelu <alpha = 1.5> (x)", {"x": normal(2, 3)}),
    "FusedMatMul": ("FusedMatMul <alpha = 0.5, transB = 1> (x, b)", {"x": normal(2, 3, 4), "b": normal(2, 5, 4)}),
    "FusedGemm": (
        'FusedGemm <alpha = 0.5, beta = 2.0, transA = 1, activation = "LeakyRelu", activation_alpha = 0.2> (x, b, c)',
        {"x": normal(4, 3), "b": normal(4, 5), "c": normal(5)},
    ),
    "FusedConv": (
        'FusedConv <pads = [1, 1, 1, 1], activation = "Clip", activation_params = [0.0, 6.0]> (x, b, c)',
        {"x": normal(1, 2, 5, 5), "b": normal(3, 2, 3, 3), "c": normal(3)},
    ),
    "FusedConv-sum": (
        'FusedConv <activation = "Relu"> (x, b, c, d)',
        {"x": normal(1, 2, 5, 5), "b": normal(3, 2, 3, 3), "c": normal(3), "d": normal(1, 3, 3, 3)},
    ),
    "SkipLayerNormalization": (
        "SkipLayerNormalization <epsilon = 0.001> (x, s, g, b, c)",
        {"x": normal(2, 3, 4), "s": normal(2, 3, 4, seed=1),
         **{name: normal(4, seed=k) for k, name in enumerate("gbc")}},
    ),
    "SkipSimplifiedLayerNormalization": (
        "SkipSimplifiedLayerNormalization <epsilon = 0.001> (x, s, g)",
        {"x": normal(2, 3, 4), "s": normal(2, 3, 4, seed=1), "g": normal(4)},
    ),
    "MultiHeadAttention": (
        "MultiHeadAttention <num_heads = 2> (x, k, v, b, m)",
        {"x": normal(2, 3, 4), "k": normal(2, 4, 4), "v": normal(2, 4, 6), "b": normal(14), "m": MASK},
    ),
    "Attention": (
        "Attention <num_heads = 2> (x, w, b, m)",
        {"x": normal(2, 4, 4), "w": normal(4, 12), "b": normal(12), "m": MASK},
    ),
}  # fmt: skip


def net(body: str, feeds: dict[str, np.ndarray]) -> onnx.ModelProto:
    kinds = {"f": "float", "i": "int32"}
    inputs = ", ".join(f"{kinds[a.dtype.kind]}[{', '.join(map(str, a.shape))}] {n}" for n, a in feeds.items())
    free = ", ".join(f"d{k}" for k in range(feeds["x"].ndim))
    return onnx.parser.parse_model(f"{HEAD} net ({inputs}) => (float[{free}] y) {{ y = {MS}.{body} }}")


@pytest.mark.parametrize("name", CASES)
def test_before_and_after(name: str) -> None:
    body, feeds = CASES[name]
    model = net(body, feeds)
    program = load(model).copy()
    expand_functions(program, ["y"], ["x"])
    assert {node.domain for node in program.graph} == {""}
    before, after = (run_on_runtime(m, feeds)["y"] for m in (model, program.proto()))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    body, feeds = CASES[name]
    model, step = net(body, feeds), 1e-2
    weights, direction = normal(*run_on_runtime(model, feeds)["y"].shape, seed=5), normal(*feeds["x"].shape, seed=9)
    graph = differentiate(model, "y", "x")
    found = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: weights})[graph.gradients["x"]]
    ends = [np.sum(weights * run_on_runtime(model, {**feeds, "x": feeds["x"] + s * step * direction})["y"])
            for s in (1, -1, 0.5, -0.5)]  # fmt: skip
    numeric = (4 * (ends[2] - ends[3]) / step - (ends[0] - ends[1]) / (2 * step)) / 3
    scale = float(np.linalg.norm(found) * np.linalg.norm(direction))
    assert np.sum(found * direction) == pytest.approx(numeric, abs=(2e-2 if "Conv" in name else 2e-3) * scale)


def test_what_is_not_spelled_out_is_named() -> None:
    model = net("FusedMatMul <transBatchA = 1> (x, b)", {"x": normal(2, 2, 3), "b": normal(2, 3, 2)})
    with pytest.raises(UnsupportedOperator, match=r"com\.microsoft::FusedMatMul .* transposed batches"):
        differentiate(model, "y", "x")


def test_every_spelling_is_tried() -> None:
    assert {name.partition("-")[0] for name in CASES} == set(_SPELLS)
