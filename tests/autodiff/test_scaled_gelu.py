"""The scales of a Gelu become a part of the products of matrices around it, where nothing reads what is between."""

import numpy as np
import onnxray
import onnxray.runtime
import pytest
from measures import distance
from onnx import TensorProto, helper, numpy_helper

GELU = "u = Div(x, root)  e = Erf(u)  h = Add(e, one)  p = Mul(h, half)  y = Mul(x, p)"
SCALED = [
    f"m = MatMul(a, first)  x = Add(m, bias)  {GELU}  z = MatMul(y, second)",
    "m = MatMul(a, first)  x = Add(bias, m)  u = Mul(x, small)  e = Erf(u)  h = Add(one, e)  p = Mul(x, h)  "
    "y = Mul(half, p)  z = MatMul(y, second)",
]
OTHERS = {
    "x read elsewhere": f"m = MatMul(a, first)  x = Add(m, bias)  {GELU}  w = Add(y, x)  z = MatMul(w, second)",
    "m read elsewhere": f"m = MatMul(a, first)  x = Add(m, bias)  {GELU}  w = MatMul(y, second)  "
    "v = MatMul(m, second)  z = Add(w, v)",
    "no bias": f"x = MatMul(a, first)  {GELU}  z = MatMul(y, second)",
    "no product behind": f"m = MatMul(a, first)  x = Add(m, bias)  {GELU}  w = Neg(y)  z = MatMul(w, second)",
    "no product before": f"m = Neg(a)  x = Add(m, wide)  {GELU}  z = MatMul(y, third)",
}


def model(text, outputs=("z",)):
    rng = np.random.default_rng(4)
    numbers = {"half": 0.5, "root": np.sqrt(2), "small": np.sqrt(0.5), "one": 1.0}
    sizes = {"first": (6, 8), "second": (8, 3), "third": (6, 3), "bias": (8,), "wide": (6,)}
    arrays = numbers | {name: rng.standard_normal(size) for name, size in sizes.items()}
    nodes = []
    for line in text.split("  "):
        name, call = line.strip().split(" = ")
        op, reads = call.rstrip(")").split("(")
        nodes.append(helper.make_node(op, reads.split(", "), [name], name=f"the {name}"))
    used = {name for node in nodes for name in node.input}
    weights = [numpy_helper.from_array(np.asarray(arrays[name], np.float32), name) for name in arrays if name in used]
    image = helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 6])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3 if name == "z" else 8]) for name in outputs]
    graph = helper.make_graph(nodes, "g", [image], made, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def explained(proto, method="saliency"):
    """The map, and the names of the nodes of its graph."""
    explainer = onnxray.Explainer(proto, method, score="z")
    values = explainer(np.random.default_rng(5).standard_normal((4, 6)).astype(np.float32), target=1).values
    (plan,) = explainer.plans
    return values, {str(node.name) for node in plan.model.graph}


def plain(proto):
    """By the rules of each node."""
    graph = onnxray.differentiate(proto, "z", ["a"])
    session = onnxray.runtime.open_session(graph.model)
    seed = np.zeros((4, 3), np.float32)
    seed[:, 1] = 1
    x = np.random.default_rng(5).standard_normal((4, 6)).astype(np.float32)
    return session.run({"a": x, graph.seeds["z"]: seed}, [graph.gradients["a"]])[graph.gradients["a"]]


@pytest.mark.parametrize("text", SCALED)
def test_the_scales_move_and_the_gradient_stays(text):
    proto = model(text)
    found, names = explained(proto)
    assert "the u" not in names
    assert distance(found, plain(proto)) < 5e-7


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_other_gelus_stay(text):
    proto = model(text)
    found, names = explained(proto)
    assert "the u" in names
    assert distance(found, plain(proto)) < 5e-7


@pytest.mark.parametrize("name", ["x", "u", "y"])
def test_an_output_within_stays(name):
    assert "the u" in explained(model(SCALED[0], ("z", name)))[1]


@pytest.mark.parametrize("method", ["deep-lift", "lrp"])
def test_methods_with_rules_for_nodes_keep_the_model_s(method):
    assert "the u" in explained(model(SCALED[0]), method)[1]
