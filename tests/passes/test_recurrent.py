"""LSTM, GRU and RNN become a Scan that gives the same numbers, whose gradient agrees with differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import onnxruntime
import pytest
from by_hand import model
from differences import run_on_runtime
from gradcheck import normal
from onnxray.autodiff.expand_functions import expand_functions
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load

T, B, I, H = 5, 3, 2, 4  # noqa: E741  time, batch, input and hidden sizes
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
LENGTHS = np.array([5, 2, 3], np.int32)

VARIANTS: list[tuple[str, dict[str, Any], bool, bool]] = [
    *((op, {"direction": way}, lengths, True) for op in GATES for way in ("forward", "reverse", "bidirectional")
      for lengths in (False, True)),
    *((op, {"clip": 0.3}, False, False) for op in GATES),
    ("LSTM", {"input_forget": 1}, False, True),
    ("LSTM", {"activations": ["HardSigmoid", "ScaledTanh", "Softsign"], "activation_alpha": [0.3, 1.2],
              "activation_beta": [0.4, 0.7]}, False, False),
    ("GRU", {"linear_before_reset": 1}, False, True),
    ("GRU", {"linear_before_reset": 1, "direction": "bidirectional"}, True, False),
    ("RNN", {"activations": ["Elu"], "activation_alpha": [0.7]}, False, False),
]  # fmt: skip


def recurrent(
    op: str, attributes: dict[str, Any], lengths: bool, extras: bool, symbolic: bool = False
) -> onnx.ModelProto:
    """One node; its weights are initializers, ``extras`` are the initial states and the peepholes."""
    many = 2 if attributes.get("direction") == "bidirectional" else 1
    states = [normal(many, B, H, seed=k) for k in range(2 if op == "LSTM" else 1)] if extras else []
    weights = [normal(many, GATES[op] * H, I), normal(many, GATES[op] * H, H), normal(many, 2 * GATES[op] * H)]
    peepholes = [normal(many, 3 * H)] if extras and op == "LSTM" else []
    arrays = [*weights, LENGTHS if lengths else None, *states, *peepholes]
    fixed = [None if a is None else _initializer(f"w{k}", a) for k, a in enumerate(arrays)]
    x = ir.Value(
        name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["t", "b", I] if symbolic else [T, B, I])
    )
    node = ir.node(op, [x, *fixed], {"hidden_size": H, **attributes}, num_outputs=3 if op == "LSTM" else 2, name="cell")
    for k, y in enumerate(node.outputs):
        y.name, y.type, y.shape = f"y{k}", x.type, ir.Shape([None] * (4 if k == 0 else 3))
    kept = [v for v in fixed if v is not None]
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=kept, opset_imports={"": 18}, name="net")
    return ir.to_proto(ir.Model(graph, ir_version=10))


def _initializer(name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.tensor(array.astype(np.float32) if array.dtype == np.float64 else array, name=name)
    return ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: f"{v[0]}-{v[1]}-{v[2]}")
def test_before_and_after(variant: tuple, symbolic: bool) -> None:
    model = recurrent(*variant, symbolic=symbolic)
    names = [y.name for y in model.graph.output]
    program = load(model).copy()
    expand_functions(program, names, ["x"])
    assert "Scan" in {node.op_type for node in program.graph}
    before, after = (run_on_runtime(m, {"x": normal(T, B, I)}) for m in (model, program.proto()))
    for name in names:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=pytest.mark.slow if k % 3 else ()) for k, v in enumerate(VARIANTS)],
    ids=[f"{v[0]}-{v[1]}-{v[2]}" for v in VARIANTS],
)
def test_against_differences(variant: tuple) -> None:
    model, x, step = recurrent(*variant, symbolic=True), normal(T, B, I), 1e-2
    weights = {y: normal(*array.shape, seed=5) for y, array in run_on_runtime(model, {"x": x}).items()}
    graph = differentiate(model)
    found = run_on_runtime(graph.model, {"x": x, **{graph.seeds[y]: w for y, w in weights.items()}})[
        graph.gradients["x"]
    ]
    direction = normal(T, B, I, seed=9)
    ends = [run_on_runtime(model, {"x": x + s * step * direction}) for s in (1, -1, 0.5, -0.5)]
    sums = [sum(np.sum(weights[y] * end[y]) for y in weights) for end in ends]
    numeric = (4 * (sums[2] - sums[3]) / step - (sums[0] - sums[1]) / (2 * step)) / 3
    scale = float(np.linalg.norm(found) * np.linalg.norm(direction))
    assert np.sum(found * direction) == pytest.approx(numeric, abs=(3e-2 if "clip" in variant[1] else 2e-3) * scale)


def test_batches_first() -> None:
    """onnxruntime has no layout 1; its Scan gives the numbers of layout 0."""
    model = recurrent("RNN", {}, False, False)
    usual = run_on_runtime(model, {"x": normal(T, B, I)})
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("layout", 1))
    for k, n in enumerate((B, T, I)):
        model.graph.input[0].type.tensor_type.shape.dim[k].dim_value = n
    program = load(model).copy()
    expand_functions(program, ["y0", "y1"], ["x"])
    turned = run_on_runtime(program.proto(), {"x": normal(T, B, I).swapaxes(0, 1)})
    np.testing.assert_allclose(turned["y0"].transpose(1, 2, 0, 3), usual["y0"], rtol=1e-5)
    np.testing.assert_allclose(turned["y1"].swapaxes(0, 1), usual["y1"], rtol=1e-5)


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_the_final_state_of_an_empty_sequence_is_zero(op: str, gates: int) -> None:
    """As onnxruntime has it, whatever state the sequence starts from; the other sequence is as it was."""
    starts = {"h0": normal(1, 2, 3)} | ({"c0": normal(1, 2, 3, seed=4)} if op == "LSTM" else {})
    text = f"""net (float[4, 2, 5] x) => (float[1, 2, 3] h) {{
        steps, h = {op}<hidden_size = 3>(x, W, R, B, L, {", ".join(starts)})
    }}"""
    weights = {"W": normal(1, gates * 3, 5), "R": normal(1, gates * 3, 3), "B": normal(1, 2 * gates * 3)}
    floats = {name: array.astype(np.float32) for name, array in (weights | starts).items()}
    net = model(text, floats | {"L": np.array([0, 3], np.int32)})
    x, seed = normal(4, 2, 5).astype(np.float32), np.ones((1, 2, 3), np.float32)
    session = onnxruntime.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
    (plain,) = session.run(None, {"x": x})
    assert not plain[0, 0].any()
    assert onnxray.explain(net, x, target=seed).score == pytest.approx(plain.sum(), rel=1e-5)
