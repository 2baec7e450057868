"""onnxruntime's layers with quantised weights: their decompositions compute the same numbers and the right gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from differences import run_on_runtime
from gradcheck import normal
from onnx import helper
from onnxray.autodiff.float32_shadow import float32_form
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load
from onnxray.passes.quantised import QUANTISED
from test_qoperator import CASES as PAIRED

F, U8, I8, I32 = np.float32, np.uint8, np.int8, np.int32
MS = "com.microsoft"
RNG = np.random.default_rng(0)
A8 = RNG.integers(0, 255, (3, 6)).astype(U8)
B8 = RNG.integers(-64, 64, (6, 4)).astype(I8)  # within 7 bits: products of no processor's kernels saturate
COLUMNS = np.linspace(0.01, 0.03, 4, dtype=F)
PACKED = RNG.integers(0, 255, (5, 2, 8)).astype(U8)  # 5 outputs, 2 blocks of 16 inputs, of which 30 count
BLOCK_SCALES = RNG.uniform(0.05, 0.1, (5, 2)).astype(F)


@dataclass(frozen=True)
class Layer:
    """One operator behind a float x; ``quantise`` is the grid that x is put on first, ``restore`` that of y."""

    op: str
    inputs: str
    constants: dict[str, np.ndarray]
    x: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    quantise: bool = True
    restore: bool = True
    tolerance: float = 0.06
    id: str = ""

    def __str__(self) -> str:
        return f"{self.op}-{self.id}" if self.id else self.op


GRID = {"s": F(0.02), "z": U8(120), "t": F(0.05), "u": U8(110)}
CONV = {"w": normal(4, 3, 3, 3).astype(F)}
HIDDEN = 3
LSTM = {"w": RNG.integers(-64, 64, (1, 4, 12)).astype(I8), "r": RNG.integers(-64, 64, (1, 3, 12)).astype(I8)}
ATTENTION = {"w": RNG.integers(-64, 64, (8, 24)).astype(I8), "b": normal(24).astype(F)}

LAYERS = [
    Layer("MatMulIntegerToFloat", "q b s sb z zb bias", {"b": B8, "sb": COLUMNS, "zb": np.array([1, -2, 0, 3], I8),
          "bias": F([1, 2, 3, 4])}, (3, 6), restore=False, tolerance=1e-3),
    Layer("DynamicQuantizeMatMul", "x b sb zb bias", {"b": B8, "sb": COLUMNS, "zb": np.zeros(4, I8),
          "bias": F([1, 2, 3, 4])}, (3, 6), quantise=False, restore=False, tolerance=1e-3),
    Layer("QGemm", "q s z b sb zb c t u", {"b": B8.T.copy(), "sb": COLUMNS, "zb": np.zeros(4, I8),
          "c": I32([9, -50, 70, 0])}, (3, 6), {"transB": 1, "alpha": 1.5}),
    Layer("QGemm", "q s z b sb zb c", {"b": B8, "sb": F(0.02), "zb": I8(2), "c": I32([900, -500, 700, 0])}, (3, 6),
          restore=False, tolerance=1e-3, id="to float"),
    Layer("MatMulNBits", "x b sb", {"b": PACKED, "sb": BLOCK_SCALES}, (3, 30),
          {"K": 30, "N": 5, "bits": 4, "block_size": 16}, quantise=False, restore=False, tolerance=1e-3),
    Layer("MatMulNBits", "x b sb zb . bias", {"b": PACKED, "sb": BLOCK_SCALES.ravel(),
          "zb": RNG.integers(0, 255, 5).astype(U8), "bias": F([1, 2, 3, 4, 5])}, (2, 3, 30),
          {"K": 30, "N": 5, "bits": 4, "block_size": 16}, quantise=False,
          restore=False, tolerance=1e-3, id="zero points"),
    Layer("MatMulNBits", "x b sb", {"b": RNG.integers(0, 255, (5, 2, 16)).astype(U8), "sb": BLOCK_SCALES}, (3, 30),
          {"K": 30, "N": 5, "bits": 8, "block_size": 16}, quantise=False, restore=False, tolerance=1e-3, id="8 bits"),
    Layer("QLinearWhere", "c q s z b sb zb t u", {"c": np.array([[True, False, True]]), "b": U8([[100, 130, 200]]),
          "sb": F(0.03), "zb": U8(128)}, (2, 3)),
    Layer("NhwcMaxPool", "q", {}, (1, 4, 6, 2), {"kernel_shape": [2, 2], "strides": [2, 2]}, tolerance=1e-6),
    Layer("QLinearAveragePool", "q s z t u", {}, (1, 4, 6, 2), {"kernel_shape": [2, 2], "channels_last": 1}, id="last"),
    Layer("QLinearGlobalAveragePool", "q s z t u", {}, (1, 4, 6, 2), {"channels_last": 1}, id="last"),
    Layer("QLinearConv", "q s z w sw zw t u b", {"w": (50 * CONV["w"][:, :2]).round().clip(-127, 127).astype(I8),
          "sw": F([0.02, 0.03, 0.01, 0.02]), "zw": np.zeros(4, I8), "b": I32([100, 0, -300, 20])}, (1, 4, 6, 2),
          {"channels_last": 1, "pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}, id="last"),
    Layer("DynamicQuantizeLSTM", "x w r bias . . . . sw zw sr zr", {**LSTM, "bias": normal(1, 24).astype(F),
          "sw": F([0.01]), "zw": I8([3]), "sr": F([0.008]), "zr": I8([-1])}, (5, 2, 4), {"hidden_size": HIDDEN},
          quantise=False, restore=False, tolerance=0.05),
    Layer("DynamicQuantizeLSTM", "x w r bias . . . . sw zw sr zr", {**LSTM, "bias": normal(1, 24).astype(F),
          "sw": np.full((1, 12), 0.01, F), "zw": np.zeros((1, 12), I8), "sr": np.full((1, 12), 0.008, F),
          "zr": np.zeros((1, 12), I8)}, (5, 2, 4), {"hidden_size": HIDDEN}, quantise=False, restore=False,
          tolerance=0.05, id="per gate"),
    Layer("QAttention", "q w b s sw . z zw", {**ATTENTION, "sw": F(0.01), "zw": I8(0)}, (1, 5, 8), {"num_heads": 2},
          restore=False, tolerance=1e-3),
]  # fmt: skip


def net(layer: Layer) -> onnx.ModelProto:
    grid = {name: value for name, value in GRID.items() if name in "sz" or layer.restore}
    inputs = ["" if name == "." else name for name in layer.inputs.split()]
    y = "y8" if layer.restore else "y"
    node = helper.make_node(layer.op, inputs, [y], "layer", domain=MS, **layer.attributes)
    before = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])] if layer.quantise else []
    ends = ["s", "z"] if layer.op == "NhwcMaxPool" else ["t", "u"]
    behind = [helper.make_node("DequantizeLinear", ["y8", *ends], ["y"])] if layer.restore else []
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [*before, node, *behind],
        "net",
        [helper.make_tensor_value_info("x", floats, layer.x)],
        [
            helper.make_tensor_value_info(
                "y", floats, [f"d{k}" for k in range(len(layer.x) + (layer.op == "DynamicQuantizeLSTM"))]
            )
        ],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in {**grid, **layer.constants}.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(MS, 1)], ir_version=9
    )


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_the_spelling_computes_the_same(layer: Layer) -> None:
    model, x = net(layer), normal(*layer.x).astype(F)
    form = float32_form(load(model), "y", "x").proto()
    assert not {node.op_type for node in form.graph.node} & {op for _, op in QUANTISED}
    found, expected = (run_on_runtime(m, {"x": x})["y"] for m in (form, model))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=layer.tolerance)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_the_gradient_is_that_of_the_spelling(layer: Layer) -> None:
    """Along a direction, on steps that are longer than those of the grids; what is clipped or rounded adds noise."""
    model, x = net(layer), normal(*layer.x).astype(F) * F(0.7)
    graph, form = differentiate(model), float32_form(load(model), "y", "x").proto()
    outputs = run_on_runtime(model, {"x": x})["y"]
    dy = normal(*outputs.shape, seed=1).astype(F)
    found = run_on_runtime(graph.model, {"x": x, graph.seeds["y"]: dy})
    np.testing.assert_array_equal(found["y"], outputs)
    options = ort.SessionOptions()  # optimised, the runtime quantises x again before a Gemm by quantised weights
    options.graph_optimization_level, options.log_severity_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL, 3
    session = ort.InferenceSession(unrounded(form).SerializeToString(), options)
    slope, numeric = _slopes(lambda v: np.asarray(session.run(["y"], {"x": v})[0]), x, dy, found["grad_x"])
    assert slope == pytest.approx(numeric, rel=0.05)


def _slopes(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, dy: np.ndarray, dx: np.ndarray
) -> tuple[float, float]:
    """Along the gradient, where the slope is the steepest: by the gradient, and by central differences."""
    v = dx / np.linalg.norm(dx)
    ahead, behind = (f((x + step * v).astype(F)) for step in (0.01, -0.01))
    return float(np.sum(dx * v)), float(np.sum((ahead - behind) * dy) / 0.02)


def unrounded(form: onnx.ModelProto) -> onnx.ModelProto:
    """A float form whose pairs of QuantizeLinear and DequantizeLinear pass their input on."""
    model = onnx.ModelProto.FromString(form.SerializeToString())
    rounded: set[str] = set()
    for node in model.graph.node:
        passed = node.input[0] in rounded
        if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") or (
            passed and node.op_type in ("MaxPool", "Transpose")
        ):
            rounded.add(node.output[0])
        if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") or (passed and node.op_type[0] == "D"):
            node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]]))
    del model.graph.value_info[:]
    return model


def test_four_bit_pairs_per_block() -> None:
    """The nodes that onnxruntime fuses into MatMulNBits: DequantizeLinear of a block's weights, and MatMul."""
    w = RNG.integers(-8, 7, (32, 5)).astype(np.int8)
    scale = RNG.uniform(0.05, 0.1, (2, 5)).astype(F)
    packed = helper.make_tensor("w", onnx.TensorProto.INT4, (32, 5), w.ravel().tolist())
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"], axis=0, block_size=16),
        helper.make_node("MatMul", ["x", "d"], ["h"]),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, [3, 32])],
        [helper.make_tensor_value_info("y", kind, [3, 5])],
        [packed, onnx.numpy_helper.from_array(scale, "s")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x, dy = normal(3, 32).astype(F), normal(3, 5, seed=1).astype(F)
    found = differentiate(model)
    results = run_on_runtime(found.model, {"x": x, "seed_y": dy})
    real = w * scale.repeat(16, axis=0)
    np.testing.assert_array_equal(results["y"], run_on_runtime(model, {"x": x})["y"])
    np.testing.assert_allclose(results["grad_x"], np.where(x @ real > 0, dy, 0) @ real.T, rtol=1e-4, atol=1e-5)


def test_every_operator_is_tried() -> None:
    tried = {layer.op for layer in LAYERS} | PAIRED.keys()
    assert tried - {"NhwcMaxPool"} == {op for _, op in QUANTISED}
