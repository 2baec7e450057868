"""The layer map on graphs written by hand: side branches, dead values, moved axes, ties."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxray.converters.candidates import LayerValue
from onnxray.converters.layer_names import leaving, resolve


def graph(*nodes, outputs):
    made = [
        onnx.NodeProto(op_type=op, input=inputs.split(), output=[output], name=f"{scope}/{op}")
        for scope, op, inputs, output in nodes
    ]
    values = [onnx.ValueInfoProto(name=name) for name in outputs]
    return onnx.ModelProto(graph=onnx.GraphProto(name="g", node=made, output=values))


def scope(node):
    return [node.name.partition("/")[0]]


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((2, 5, 4, 3)).astype(np.float32)


def find(model, tensors, **layers):
    return resolve(model, tensors, layers, leaving(model, scope))


def test_the_tensor_before_a_side_branch_of_transposes(x):
    model = graph(("a", "Conv", "x", "c"), ("a", "Transpose", "c", "t"), ("b", "ReduceMean", "t", "y"), outputs=["y"])
    values = {"c": x.transpose(0, 3, 1, 2), "t": x, "y": x.mean((1, 2))}
    found, missing = find(model, values, a=LayerValue(x, "NHWC"))
    assert found == {"a": {"tensor": "c", "layout": "NCHW"}}
    assert not missing


def test_a_tensor_without_a_way_to_the_output_is_not_taken(x):
    model = graph(("a", "Relu", "x", "dead"), ("b", "Tanh", "x", "y"), outputs=["y"])
    found, missing = find(model, {"dead": x, "y": np.tanh(x)}, a=LayerValue(x, "NHWC"))
    assert not found
    assert "no tensor on the way" in missing["a"]


def test_a_right_name_with_a_wrong_value_is_refused(x):
    model = graph(("a", "Conv", "x", "c"), ("b", "Relu", "c", "y"), outputs=["y"])
    found, missing = find(model, {"c": x * 1.01, "y": np.abs(x)}, a=LayerValue(x, "NHWC"))
    assert not found
    assert missing


def test_a_dropped_identity_is_found_by_value(x):
    model = graph(("a", "Relu", "x", "c"), ("b", "Tanh", "c", "y"), outputs=["y"])
    found, _ = find(model, {"c": x, "y": np.tanh(x)}, dropout=LayerValue(x.copy(), "NHWC"))
    assert found["dropout"]["tensor"] == "c"


def test_a_constant_value_proves_nothing(x):
    model = graph(("a", "Relu", "x", "c"), ("b", "Tanh", "c", "y"), outputs=["y"])
    zero = np.zeros_like(x)
    found, missing = find(model, {"c": zero, "y": zero}, dropout=LayerValue(zero, "NHWC"))
    assert not found
    assert "same everywhere" in missing["dropout"]


def test_a_vector_kept_with_axes_of_size_one(x):
    vector = x[:, :, 0, 0]
    model = graph(("pool", "GlobalAveragePool", "x", "y"), outputs=["y"])
    found, _ = find(model, {"y": vector[:, :, None, None]}, pool=LayerValue(vector, "NC"))
    assert found["pool"] == {"tensor": "y", "layout": "NCHW"}


def test_calls_share_the_scope_of_the_plain_name(x):
    model = graph(("a", "Relu", "x", "c"), ("a", "Relu", "c", "y"), outputs=["y"])
    found, _ = find(model, {"c": x, "y": 2 * x}, **{"a": LayerValue(x, "NHWC"), "a:1": LayerValue(2 * x, "NHWC")})
    assert [found["a"]["tensor"], found["a:1"]["tensor"]] == ["c", "y"]


def test_reasons_are_passed_on(x):
    model = graph(("a", "Relu", "x", "y"), outputs=["y"])
    assert find(model, {"y": x}, holder="never called")[1] == {"holder": "never called"}
