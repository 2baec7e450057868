"""Every training-only operator: the library emits it, and what it is lowered to is standard and gives the same.

Where a model cannot be made to emit one any more (loading brings opset 18 and decomposes contrib operators), the
library's kernel of that operator is run alone and compared with what it is lowered to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper
from onnxray.gradient_graph import differentiate
from onnxray.graph.builder import GraphBuilder, Lowering
from onnxray.training import open_training_session
from onnxray.training.client import Worker, worker
from onnxray.training.graft import Graft
from onnxray.training.lowering import LOWERINGS
from training_tools import by, distance, gradient, model, numbers, run, with_weights

IMAGE = "float[2,3,8,8] x"


@dataclass(frozen=True)
class Emitted:
    """A training operator, and a model in whose gradient the library puts it."""

    op: str
    body: str
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: str = IMAGE
    output: str = "float[a,b,c,d] y"
    opset: int = 20
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.op}-{self.body.split(' = ')[-1].split('(')[0]}"


EMITTED = [
    Emitted("AveragePoolGrad", "{ y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) }"),
    Emitted("ConvGrad", "{ y = Conv<strides=[2,2]>(x, w) }", {"w": (4, 3, 3, 3)}),
    Emitted("ConvTransposeGrad", "{ y = ConvTranspose<strides=[2,2]>(x, w) }", {"w": (3, 4, 3, 3)}),
    Emitted("DivGrad", "{ a = Exp(x) y = Div(x, a) }"),
    Emitted("GatherElementsGrad", "{ i = Constant<value = int64[1,1,1,2] {0,3}>() y = GatherElements<axis=3>(x, i) }"),
    Emitted("GatherGrad", "{ i = Constant<value_ints=[1,0,1]>() y = Gather<axis=1>(x, i) }"),
    Emitted(
        "GatherNDGrad",
        "{ i = Constant<value = int64[2,2] {0,1,1,2}>() y = GatherND(x, i) }",
        output="float[a,b,c] y",
    ),
    Emitted("GeluGrad", "{ y = Gelu(x) }"),
    Emitted("GeluGrad", '{ y = Gelu<approximate="tanh">(x) }'),
    Emitted("LayerNormalizationGrad", "{ y = LayerNormalization(x, s) }", {"s": (8,)}),
    Emitted("LeakyReluGrad", "{ y = LeakyRelu<alpha=0.3>(x) }"),
    Emitted("LogSoftmaxGrad_13", "{ y = LogSoftmax<axis=1>(x) }"),
    Emitted("MaxPoolGrad", "{ y = MaxPool<kernel_shape=[2,2]>(x) }"),
    Emitted("MaxPoolGrad", "{ y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }"),
    Emitted("ReluGrad", "{ y = Relu(x) }"),
    Emitted(
        "ResizeGrad",
        '{ s = Constant<value_floats=[1.0,1.0,2.0,2.0]>() y = Resize<mode="linear">(x, , s) }',
    ),
    Emitted("SigmoidGrad", "{ y = Sigmoid(x) }"),
    Emitted(
        "SliceGrad",
        "{ b = Constant<value_ints=[1]>() e = Constant<value_ints=[7]>() a = Constant<value_ints=[3]>() "
        "t = Constant<value_ints=[2]>() y = Slice(x, b, e, a, t) }",
    ),
    Emitted("SoftmaxGrad_13", "{ y = Softmax<axis=1>(x) }"),
    Emitted("TanhGrad", "{ y = Tanh(x) }"),
    # Not by a rule, but each by a node or two of its own.
    Emitted(
        "BroadcastGradientArgs",
        "{ a = Reshape(x, s) y = Mul(a, b) }",  # of a rank that only the run will tell
        inputs=f"{IMAGE}, int64[n] s, float[64] b",
        output="float[a,b,c] y",
        others={"s": np.array([2, 3, 64]), "b": numbers(64)},
    ),
    Emitted("Scale", "{ y = ReduceMean<axes=[3]>(x) }", opset=13),
    Emitted("FusedMatMul", "{ y = MatMul(x, w) }", {"w": (8, 5)}),
]


def built(made: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The operators of the library's own graph."""
    answers: list[bytes] = []
    ask = Worker.ask

    def listen(self: Worker, verb: str, *arguments: Any, about: str) -> Any:
        answer = ask(self, verb, *arguments, about=about)
        answers.extend([answer] if verb == "build" else [])
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "ask", listen)
        differentiate(made, ["y"], ["x"], builder="ort-training")
    return {node.op_type for answer in answers for node in onnx.ModelProto.FromString(answer).graph.node}


@pytest.mark.parametrize(
    "lowering", ["portable", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cpu", "cuda"))]
)
@pytest.mark.parametrize("case", EMITTED, ids=str)
def test_it_is_emitted_and_lowered(case: Emitted, lowering: Lowering, monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_weights(model(case.body, case.inputs, case.output, case.opset), **case.weights)
    assert case.op in built(made, monkeypatch)
    graph = differentiate(made, ["y"], ["x"], builder="ort-training", lowering=lowering)
    onnx.checker.check_model(graph.model, full_check=True)
    assert {entry.domain for entry in graph.model.opset_import} <= {""}
    feeds = {"x": numbers(2, 3, 8, 8), **case.others}
    seed = {"y": numbers(*run(made, feeds)["y"].shape, seed=5)}
    assert distance(gradient(graph, feeds, seed)["x"], by("portable", made, feeds)) <= 1e-6


# The library's kernel, alone -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alone:
    """A training operator with its inputs, and the forward operator whose gradient it is with its output."""

    op: str
    forward: str
    inputs: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    y: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.op


X, DY = numbers(2, 3, 8), numbers(2, 3, 8, seed=1)
ALONE = [
    Alone("FastGeluGrad", "FastGelu", {"dy": DY, "x": X}),
    Alone("QuickGeluGrad", "QuickGelu", {"dy": DY, "x": X}, {"alpha": 1.5}, {"y": X / (1 + np.exp(-1.5 * X))}),
    Alone("ReduceSumTraining", "Expand", {"dy": DY, "axes": np.array([1])}, {"keepdims": 1}),
]


def kernel(case: Alone) -> np.ndarray:
    """The result of the library's kernel."""
    node = helper.make_node(case.op, list(case.inputs), ["dx"], domain="com.microsoft", **case.attributes)
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in case.inputs.items()
    ]
    graph = helper.make_graph([node], "alone", values, [helper.make_tensor_value_info("dx", 1, None)])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    session = open_training_session(helper.make_model(graph, ir_version=10, opset_imports=opsets), by=worker())
    return session.run(case.inputs)["dx"]


def lowered(case: Alone) -> np.ndarray:
    """The result of the standard operators in its place."""
    graph, feeds = ir.Graph([], [], nodes=[], opset_imports={"": 24}, name="alone"), {**case.inputs, **case.y}
    g = GraphBuilder(graph)
    values = {name: g.input(name, ir.DataType.from_numpy(x.dtype), ir.Shape(x.shape)) for name, x in feeds.items()}
    reads = [values[name] for name in case.inputs]
    forward = ir.node(case.forward, reads[1:2], dict(case.attributes), name="n")
    forward.outputs[0].name = "y"
    node = ir.node(case.op, reads, dict(case.attributes), domain="com.microsoft", name=f"n_Grad/{case.op}_0")
    node.outputs[0].name = "dx"
    graft = Graft(g, {"n": forward}, values)
    graft.add(node)
    g.output(graft.values["dx"], "dx")
    made = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    session = ort.InferenceSession(made, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["dx"], feeds)[0])


@pytest.mark.parametrize("case", ALONE, ids=str)
def test_it_does_what_the_kernel_does(case: Alone) -> None:
    assert distance(lowered(case), kernel(case)) <= 1e-6


def test_every_lowering_has_a_case() -> None:
    special = {"BroadcastGradientArgs", "FusedMatMul", "ReduceSumTraining", "Scale"}
    assert {case.op for case in (*EMITTED, *ALONE)} == {*LOWERINGS, *special}
