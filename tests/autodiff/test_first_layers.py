"""The fast forms of what is in front of a net, Conv, Relu and MaxPool, give what their plain forms give."""

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

POOLS = {
    "cells": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "resnet's": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "unit stride": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
}


def model(text, weights=(), **pool):
    """Nodes on 16 channels, "y = MaxPool(r)", from x to y."""
    nodes = []
    for line in text.split("  "):
        name, call = line.split(" = ")
        op, reads = call.rstrip(")").split("(")
        how = pool if op == "MaxPool" else {}
        nodes.append(helper.make_node(op, reads.split(", "), [name], name=f"the {name}", **how))
    ends = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)]
        for n, shape in (("x", ["N", 16, 8, 10]), ("y", None))
    ]
    held = [numpy_helper.from_array(w, name) for name, w in dict(weights).items()]
    graph = helper.make_graph(nodes, "g", *ends, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


def gradients(proto, lowering, x, dy, wrt=("x",)):
    """Of y, and the nodes that they take."""
    graph = onnxray.differentiate(proto, "y", list(wrt), lowering=lowering)
    session = ort.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run([graph.gradients[name] for name in wrt], {"x": x, graph.seeds["y"]: dy})
    return found, graph.model.graph.node


def steps(nodes, gate):
    """What the gates of these nodes read."""
    return [node.input[0] for node in nodes if node.op_type in gate and "the" in node.name]


@pytest.mark.parametrize("pool", list(POOLS))
@pytest.mark.parametrize(
    ("lowering", "gate"), [("cpu", {"HardSigmoid"}), ("portable", {"Greater"}), ("cuda", {"Greater"})]
)
def test_a_relu_before_a_maximum_is_gated_behind_it(pool, lowering, gate):
    """Among many ties at 0 and above; the gate reads y, and none is left that reads r."""
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 3, (2, 16, 8, 10)).astype(np.float32)
    plain = model("y = MaxPool(x)", **POOLS[pool])
    sizes = [d.dim_value for d in plain.graph.output[0].type.tensor_type.shape.dim[1:]]
    dy = rng.integers(1, 9, (2, *sizes)).astype(np.float32)
    (whole,), _ = gradients(plain, "cuda", np.maximum(x, 0), dy)
    (found,), nodes = gradients(model("r = Relu(x)  y = MaxPool(r)", **POOLS[pool]), lowering, x, dy)
    np.testing.assert_array_equal(found, whole * (x > 0))
    assert "y" in steps(nodes, gate)
    assert "r" not in steps(nodes, gate)


@pytest.mark.parametrize(
    ("text", "wrt"),
    [("r = Relu(x)  m = MaxPool(r)  y = Add(m, r)", ("x",)), ("r = Relu(x)  y = MaxPool(r)", ("x", "r"))],
    ids=["another reads it", "its gradient is asked for"],
)
def test_a_relu_whose_gradient_others_take_part_in_is_gated_itself(text, wrt):
    rng = np.random.default_rng(4)
    x = rng.integers(-3, 3, (2, 16, 8, 10)).astype(np.float32)
    dy = rng.integers(1, 9, x.shape).astype(np.float32)
    made, plain = (model(one, **POOLS["unit stride"]) for one in (text, text.replace("r = Relu(x)", "r = Identity(x)")))
    found, nodes = gradients(made, "cpu", x, dy, wrt)
    ungated, _ = gradients(plain, "cuda", np.maximum(x, 0), dy, ("x",))
    np.testing.assert_array_equal(found[0], ungated[0] * (x > 0))
    assert "r" in steps(nodes, {"HardSigmoid"})
    if "r" in wrt:
        np.testing.assert_array_equal(found[1], ungated[0])


def test_a_gated_relu_is_still_told_of():
    proto = model("r = Relu(x)  y = MaxPool(r)", **POOLS["cells"])
    told = [str(one) for one in onnxray.differentiate(proto, "y", ["x"], lowering="cpu").activations]
    assert told == ["Relu the r: left alone"]


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "pads"),
    [(3, (12, 10), (3, 3), (1, 1, 1, 1)), (1, (11, 9), (5, 2), (2, 0, 1, 1)), (4, (9, 8), (3, 3), (0, 2, 2, 0))],
    ids=["vgg's", "one channel", "four channels"],
)
def test_few_channels_are_computed_in_cells(channels, size, kernel, pads):
    rng = np.random.default_rng(5)
    reached = [n + pads[k] + pads[k + 2] - kernel[k] + 1 for k, n in enumerate(size)]
    w = rng.standard_normal((16, channels, *kernel)).astype(np.float32)
    ends = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s)]
        for n, s in (("x", ["N", channels, *size]), ("y", ["N", 16, *reached]))
    ]
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=pads)
    graph = helper.make_graph([conv], "g", *ends, [numpy_helper.from_array(w, "w")])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    x, dy = (rng.standard_normal((2, *shape)).astype(np.float32) for shape in ((channels, *size), (16, *reached)))
    ((found,), nodes), ((plain,), _) = (gradients(proto, lowering, x, dy) for lowering in ("cpu", "cuda"))
    assert [
        list(a.ints) for node in nodes if node.op_type == "Conv" for a in node.attribute if a.name == "strides"
    ] == [[2, 2]]
    np.testing.assert_allclose(found, plain, rtol=0, atol=2e-5)
