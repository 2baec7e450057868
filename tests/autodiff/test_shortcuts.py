"""Steps of several nodes have one gradient where nothing asks for what lies between, and else one for each node."""

import math

import numpy as np
import onnx
import onnxray
import onnxray.runtime
import pytest
from gradcheck import evaluate
from measures import distance
from onnx import helper, numpy_helper

GELUS = {
    "half of x": "a = Mul(half, x)  u = Div(x, root)  e = Erf(u)  h = Add(e, one)  y = Mul(a, h)",
    "half of h": "u = Div(x, root)  e = Erf(u)  h = Add(one, e)  a = Mul(h, half)  y = Mul(x, a)",
    "half at last": "u = Mul(x, small)  e = Erf(u)  h = Add(one, e)  a = Mul(x, h)  y = Mul(a, half)",
    "of a product": "z = Mul(x, x)  u = Mul(small, z)  e = Erf(u)  h = Add(one, e)  a = Mul(z, h)  y = Mul(a, half)",
}
OTHERS = {
    "x twice": "u = Div(x, root)  e = Erf(u)  h = Add(one, e)  a = Mul(x, h)  y = Mul(a, x)",
    "many factors": "u = Div(x, root)  e = Erf(u)  h = Add(one, e)  a = Mul(x, h)  b = Mul(a, x)  c = Mul(b, half)  "
    "d = Mul(c, half)  f = Mul(d, half)  y = Mul(f, half)",
    "backward": "u = Div(x, minus)  e = Erf(u)  h = Add(one, e)  y = Mul(x, h)",
    "one over x": "u = Div(root, x)  e = Erf(u)  h = Add(one, e)  y = Mul(x, h)",
    "two": "u = Div(x, root)  e = Erf(u)  h = Add(e, half)  y = Mul(x, h)",
}
NUMBERS = {"half": 0.5, "root": math.sqrt(2), "small": math.sqrt(0.5), "one": 1.0, "minus": -2.0}


def model(text, shape=(2, 5), elem=onnx.TensorProto.FLOAT):
    nodes = []
    for line in text.split("  "):
        name, call = line.strip().split(" = ")
        op, reads = call.rstrip(")").split("(")
        nodes.append(helper.make_node(op, reads.split(", "), [name], name=f"the {name}"))
    kind = helper.tensor_dtype_to_np_dtype(elem)
    numbers = [numpy_helper.from_array(np.array(value, kind), name) for name, value in NUMBERS.items()]
    ends = [[helper.make_tensor_value_info(name, elem, shape)] for name in "xy"]
    graph = helper.make_graph(nodes, "g", *ends, numbers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def gradients(proto, x, wrt=("x",), **options):
    """Of the sum of y, and the operators of the graph that gives them; onnxruntime has no Erf of doubles."""
    graph = onnxray.differentiate(proto, "y", list(wrt), **options)
    feeds, names = {"x": x, graph.seeds["y"]: np.ones_like(x)}, [graph.gradients[name] for name in wrt]
    if x.dtype == np.float64:
        made = evaluate(graph.model, feeds)
        found = [made[name] for name in names]
    else:
        found = list(onnxray.runtime.open_session(graph.model).run(feeds, names).values())
    return found, [node.op_type for node in graph.model.graph.node]


def values(proto, x):
    return evaluate(proto, {"x": x})["y"]


def erf_by_itself(g, node, dy):
    (u,) = node.inputs
    return g.Mul(dy, g.Mul(2 / math.sqrt(math.pi), g.Exp(g.Neg(g.Mul(u, u)))))


X = np.linspace(-6, 6, 10).reshape(2, 5) + 0.1


@pytest.mark.parametrize("text", [*GELUS.values(), *OTHERS.values()], ids=[*GELUS, *OTHERS])
def test_the_gradient_is_that_of_central_differences(text):
    proto, step = model(text, elem=onnx.TensorProto.DOUBLE), 1e-6
    ((dx,), _) = gradients(proto, X)
    slopes = (values(proto, X + step) - values(proto, X - step)) / (2 * step)
    np.testing.assert_allclose(dx, slopes, atol=1e-8, rtol=1e-7)


@pytest.mark.parametrize("text", GELUS.values(), ids=GELUS)
def test_gelu_in_nodes_takes_its_own_form(text):
    single, double = (model(text, elem=elem) for elem in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE))
    ((dx,), operators) = gradients(single, X.astype(np.float32))
    assert "Neg" not in operators
    assert distance(dx, gradients(double, X, rules={"Erf": erf_by_itself})[0][0]) < 3e-7


@pytest.mark.parametrize("name", ["backward", "one over x", "two"])
def test_others_keep_a_rule_for_each_node(name):
    assert "Neg" in gradients(model(OTHERS[name]), X.astype(np.float32))[1]


def test_a_value_between_has_its_gradient():
    ((dx, dh), operators) = gradients(model(GELUS["half of x"]), X.astype(np.float32), wrt=("x", "h"))
    np.testing.assert_allclose(dh, X / 2, rtol=1e-6)
    assert "Neg" in operators
    np.testing.assert_allclose(dx, gradients(model(GELUS["half of x"]), X.astype(np.float32))[0][0], atol=1e-6)


def test_a_rule_of_the_user_for_a_node_between_is_kept():
    ((dx,), _) = gradients(
        model(GELUS["half of x"]), X.astype(np.float32), rules={"Erf": lambda g, node, dy: g.Mul(dy, 0)}
    )
    np.testing.assert_allclose(dx, [[(1 + math.erf(x / math.sqrt(2))) / 2 for x in row] for row in X], atol=1e-6)


SCREENED = "p = Softmax(x)  n = IsNaN(p)  s = Where(n, zero, p)  y = Mul(s, x)"


def screened():
    proto = model(SCREENED)
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
    return proto


def test_rows_that_a_model_screens_have_no_gradient():
    """Where a row is -inf throughout, its pattern is NaN, for which the model puts 0."""
    x = X.astype(np.float32)
    ((dx,), operators) = gradients(screened(), x)
    ((_, whole), longer) = gradients(screened(), x, wrt=("x", "p"))
    assert operators.count("Where") + 1 == longer.count("Where")
    np.testing.assert_array_equal(whole, x)
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(dx, p + p * (x - (p * x).sum(1, keepdims=True)), rtol=1e-5, atol=1e-6)


def test_a_row_without_a_pattern_gives_zeros():
    text = "m = Add(x, edge)  p = Softmax(m)  n = IsNaN(p)  s = Where(n, zero, p)  y = Mul(s, half)"
    proto = model(text)
    edge = np.array([[0] * 5, [-np.inf] * 5], np.float32)
    proto.graph.initializer.extend(
        [numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(edge, "edge")]
    )
    ((dx,), _) = gradients(proto, X.astype(np.float32))
    np.testing.assert_allclose(dx, 0, atol=1e-7)
