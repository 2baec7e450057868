"""Names of a framework's layers that are also names of other tensors: each means what the caller must mean by it."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxray
import pytest
from onnx import TensorProto, helper
from onnxray.diagnostics.inspection import inspect


@pytest.fixture
def model() -> onnxray.Model:
    """A module called "input" halves the pixels, one called "y" is inside, and two have each other's tensors."""
    nodes = [
        helper.make_node("Mul", ["input", "half"], ["halved"]),
        helper.make_node("Conv", ["halved", "w"], ["relu_1"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["relu_1"], ["relu"]),
        helper.make_node("ReduceMean", ["relu", "axes"], ["y"], keepdims=0),
    ]
    weights = [
        onnx.numpy_helper.from_array(np.float32(0.5), "half"),
        onnx.numpy_helper.from_array(np.random.default_rng(0).standard_normal((3, 2, 3, 3)).astype("f"), "w"),
        onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
    ]
    x = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 2, 5, 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    proto = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], weights), opset_imports=[helper.make_opsetid("", 18)]
    )
    tensors = {"input": "halved", "y": "relu", "relu": "relu_1", "act": "relu"}
    layers = {name: {"tensor": tensor, "layout": "NCHW"} for name, tensor in tensors.items()}
    proto.metadata_props.add(key="onnxray.layers", value=json.dumps(layers))
    return onnxray.load(proto)


def test_inputs_and_outputs_are_not_taken_for_layers(model: onnxray.Model) -> None:
    graph = onnxray.differentiate(model)
    assert (list(graph.seeds), list(graph.gradients)) == (["y"], ["input"])
    x = np.random.default_rng(1).standard_normal((2, 2, 5, 5)).astype(np.float32)
    bare = model.proto()
    del bare.metadata_props[:]
    for method in ("saliency", "integrated-gradients"):
        got, wanted = (onnxray.explain(one, x, method, target=1).values for one in (model, bare))
        np.testing.assert_array_equal(got, wanted)


def test_a_layer_is_meant_where_layers_are_named(model: onnxray.Model) -> None:
    x = np.random.default_rng(1).standard_normal((2, 2, 5, 5)).astype(np.float32)
    found = onnxray.activations(model, x, ["input", "relu", "act"])
    np.testing.assert_allclose(found["input"], x / 2)
    assert found["relu"].min() < 0 <= found["act"].min()
    listed = {layer.name: layer.tensor for layer in inspect(model).layers}
    assert [listed[name] for name in ("input", "relu", "act")] == ["halved", "relu_1", "relu"]


def test_grad_cam_takes_the_maps_of_the_layer(model: onnxray.Model) -> None:
    x = np.random.default_rng(1).standard_normal((2, 2, 5, 5)).astype(np.float32)
    maps = onnxray.activations(model, x, ["act"])["act"][:, 1]
    got = onnxray.explain(model, x, "grad-cam", layer="act", target=1, score="output").values
    np.testing.assert_allclose(got, maps / 25, rtol=1e-5)
