"""Tensors that branches and loop bodies read of the graph around them count wherever readers are looked for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxray.converters.candidates import LayerValue
from onnxray.converters.keras_graph import put_weights
from onnxray.converters.layer_names import leaving, resolve
from onnxray.converters.subgraphs import reads

# The first branch hands out a tensor from outside; the other reads one two graphs further in.
MODEL = """<ir_version: 8, opset_import: ["": 18]>
net (float[2, 3] x, float[2, 3] w, bool c) => (float[2, 3] y) <float[2, 3] dead = {0, 0, 0, 0, 0, 0}> {
    a = Relu (x)
    b = Tanh (a)
    d = Neg (b)
    y = If (c) <
        then_branch = first () => (float[2, 3] b) { unused = Sin (d) },
        else_branch = second () => (float[2, 3] t) {
            own = Add (a, d)
            t = If (c) <
                then_branch = third () => (float[2, 3] u) { u = Mul (own, w) },
                else_branch = fourth () => (float[2, 3] v) { v = Neg (own) }
            >
        }
    >
}"""
SCOPES = {"a": "inside", "b": "inside", "d": "inside", "y": "outside"}


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.parser.parse_model(MODEL)


def scopes_of(node: onnx.NodeProto) -> list[str]:
    return [SCOPES[node.output[0]]]


def test_a_node_reads_what_its_subgraphs_capture(model: onnx.ModelProto) -> None:
    assert set(reads(model.graph.node[3])) == {"a", "b", "c", "d", "w"}


def test_what_a_subgraph_captures_leaves_its_scope(model: onnx.ModelProto) -> None:
    """Of `b` and `d`, which leave, the last comes first; then of those that do not."""
    del model.graph.node[3].attribute[1:]  # the branch that hands b out and reads d remains
    assert leaving(model, scopes_of)["inside"] == ["d", "b", "a"]
    del model.graph.node[3].attribute[0].g.node[:]
    assert leaving(model, scopes_of)["inside"] == ["b", "d", "a"]


def test_what_a_branch_hands_out_is_on_the_way(model: onnx.ModelProto) -> None:
    del model.graph.node[3].attribute[1:], model.graph.node[3].attribute[0].g.node[:]
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    found, _ = resolve(model, {"b": x, "y": x + 1}, {"layer": LayerValue(x, "NC")}, {})
    assert found == {"layer": {"tensor": "b", "layout": "NC"}}


def test_a_weight_that_an_inner_branch_reads_stays(model: onnx.ModelProto) -> None:
    put_weights(model, {"w": np.ones((2, 3), np.float32)})
    assert [tensor.name for tensor in model.graph.initializer] == ["w"]
