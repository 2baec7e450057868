"""One net as every opset writes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, TOLERANCE
from measures import distance
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

NEWEST = onnx.defs.onnx_opset_version()


def at_opset(version: int) -> onnx.ModelProto:
    """Conv, Relu, Dropout, mean over places, Squeeze, Gemm, Softmax as the opset writes them."""
    axes = {"mean": [2, 3], "squeeze": [2, 3]}
    ratio: dict[str, Any] = {"ratio": 0.5} if version < 12 else {}
    nodes = [
        helper.make_node("Conv", ["x", "A", "a"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Dropout", ["r"], ["d"], **ratio),
        _with_axes("ReduceMean", "d", "m", axes["mean"], version < 18),
        _with_axes("Squeeze", "m", "f", axes["squeeze"], version < 13),
        helper.make_node("Gemm", ["f", "B", "b"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in CONV.weights.items()]
    tensors += [numpy_helper.from_array(np.array(v), f"{op}_axes") for op, v in (("m", [2, 3]), ("f", [2, 3]))]
    read = {name for node in nodes for name in node.input}
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", floats, ["N", 2, 6, 5])],
        [helper.make_tensor_value_info("y", floats, ["N", 4])],
        [tensor for tensor in tensors if tensor.name in read],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


def _with_axes(op: str, x: str, y: str, axes: list[int], attribute: bool) -> onnx.NodeProto:
    keep: dict[str, Any] = {"keepdims": 1} if op.startswith("Reduce") else {}
    if attribute:
        return helper.make_node(op, [x], [y], axes=axes, **keep)
    return helper.make_node(op, [x, f"{y}_axes"], [y], **keep)


def runtime_runs(proto: onnx.ModelProto) -> bool:
    """Whether onnxruntime takes the model itself: it knows fewer opsets than onnx does."""
    try:
        onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument):  # the latter from onnxruntime 1.20 and 1.21
        return False
    return True


@pytest.mark.parametrize("version", range(7, NEWEST + 1))
def test_opset(version: int) -> None:
    proto, x = at_opset(version), CONV.x()
    onnx.checker.check_model(proto, full_check=True)
    graph = onnxray.differentiate(proto, of="z", relu="guided")
    feeds = {"x": x, graph.seeds["z"]: np.eye(4, dtype=np.float32)[[1, 1, 1]]}
    (found,) = ReferenceEvaluator(graph.model).run(list(graph.gradients.values()), feeds)
    assert distance(found, CONV.gradient(x, 1, "guided")) <= TOLERANCE
    if runtime_runs(proto):
        a = onnxray.explain(proto, x, "guided-backprop", target=1)
        assert distance(a.values, CONV.gradient(x, 1, "guided")) <= TOLERANCE
    else:
        with pytest.raises(onnxray.OnnxrayError, match=f"(?i)opset {version}"):
            onnxray.explain(proto, x, "guided-backprop", target=1)


@pytest.mark.parametrize("versions", [(16, 16), (18, 16), (20, 18), (12, 12)], ids=str)
def test_functions_of_the_model(versions: tuple[int, int]) -> None:
    """The converter of opsets drops them; and they may count by an opset of their own. y = sin(x^2)^2."""
    own, theirs = map(str, versions)
    text = """<ir_version: 8, opset_import: ["" : OWN, "own" : 1]>
    net (float[N, 3] x, bool flag) => (float[N, 3] y) {
        h = own.Squared (x)
        y = If (flag) <then_branch = a () => (float[N, 3] p) { s = Sin (h)  p = own.Squared (s) },
                       else_branch = b () => (float[N, 3] q) { q = Neg (h) }>
    }
    <domain: "own", opset_import: ["" : THEIRS]> Squared (a) => (b) { b = Mul (a, a) }"""
    model = onnx.parser.parse_model(text.replace("OWN", own).replace("THEIRS", theirs))
    graph, x = onnxray.differentiate(model, wrt="x"), np.array([[0.3, -0.5, 1]], np.float32)
    found = gradients(graph, x=x, flag=np.array(True), seed_y=np.ones_like(x))
    np.testing.assert_allclose(found, 2 * x * np.sin(2 * x**2), rtol=1e-5)


@pytest.mark.parametrize("kind", ["float", "float16", "double"])
@pytest.mark.parametrize("node", ["Clip <min = -0.5, max = 0.5>", "Clip <max = 0.5>", "Pad <pads = [0, 1]>"])
def test_attributes_that_became_inputs_have_the_type_of_their_node(node: str, kind: str) -> None:
    """The converter of opsets makes them float32."""
    text = f"""<ir_version: 5, opset_import: ["" : 10]>
    net ({kind}[3] x) => ({kind}[n] y) {{ a = Neg (x)  b = {node} (a)  y = {node} (b) }}"""
    graph = onnxray.differentiate(onnx.parser.parse_model(text))
    onnx.checker.check_model(graph.model, full_check=True)
    x = np.array([0.25, -0.75, -1], {"float": np.float32, "float16": np.float16, "double": np.float64}[kind])
    seed = np.ones(3 if node.startswith("Clip") else 5, np.float64 if kind == "double" else np.float32)
    expected = [-1, 0, 0] if node.startswith("Clip") else [-1, -1, -1]
    (found,) = ReferenceEvaluator(graph.model).run(list(graph.gradients.values()), {"x": x, "seed_y": seed})
    np.testing.assert_array_equal(found, np.array(expected))


def gradients(graph: onnxray.GradientGraph, **feeds: np.ndarray) -> np.ndarray:
    """The only gradient, on onnxruntime."""
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(list(graph.gradients.values()), feeds)[0])
