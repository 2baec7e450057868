"""lower_gradients(): the Gradient operator of ai.onnx.preview.training on stock onnxruntime."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest

HEAD = '<ir_version: 8, opset_import: ["" : 18, "ai.onnx.preview.training" : 1]>\n'


def suite() -> list[Any]:
    """The ONNX project's own cases, the expected numbers with them."""
    from onnx.backend.test.case.model import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases() if case.name.startswith("test_gradient_of")]


def lowered(text: str, **feeds: np.ndarray) -> list[np.ndarray]:
    model = onnxray.lower_gradients(onnx.parser.parse_model(HEAD + text))
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    return ort.InferenceSession(model.SerializeToString()).run(None, feeds)


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_suite_has_cases() -> None:
    assert {case.name for case in suite()} >= {"test_gradient_of_add", "test_gradient_of_add_and_mul"}


@pytest.mark.parametrize("case", suite(), ids=lambda case: case.name)
def test_the_suites_cases_pass_on_stock_onnxruntime(case: Any) -> None:
    with pytest.raises(Exception, match="Gradient"):
        ort.InferenceSession(case.model.SerializeToString())
    model = onnxray.lower_gradients(case.model)
    (inputs, expected), names = case.data_sets[0], [value.name for value in case.model.graph.input]
    session = ort.InferenceSession(model.SerializeToString())
    assert [one.name for one in session.get_outputs()] == [one.name for one in case.model.graph.output]
    found = session.run(None, dict(zip(names, inputs, strict=True)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
        assert one.shape == other.shape


def test_the_gradient_of_several_numbers_is_that_of_their_sum() -> None:
    text = """g (float[n] x, float[n] w) => (float[n] dx)
    { y = Mul(x, w) [dy] dx = ai.onnx.preview.training.Gradient <xs = ["x"], zs = ["w"], y = "y"> (x, w) }"""
    (dx,) = lowered(text, x=numbers(1, 2), w=numbers(3, 5))
    np.testing.assert_array_equal(dx, numbers(3, 5))


def test_an_inner_tensor_and_an_output_that_nobody_wants() -> None:
    text = """g (float[n] x, float[n] z) => (float[n] dz)
    { h = Exp(x) y = Mul(h, z)
      [dy] , dz = ai.onnx.preview.training.Gradient <xs = ["h", "z"], y = "y"> (h, z) }"""
    model = onnx.parser.parse_model(HEAD + text.replace("[dy] , dz", "[dy] dh, dz"))
    model.graph.node[-1].output[0] = ""
    session = ort.InferenceSession(onnxray.lower_gradients(model).SerializeToString())
    (dz,) = session.run(None, {"x": numbers(0, 1), "z": numbers(2, 3)})
    np.testing.assert_allclose(dz, np.exp(numbers(0, 1)), rtol=1e-6)


def test_at_other_values_than_the_graphs_own() -> None:
    """dy/dh of y = 3 h h z at h = x x, z = x: the values given for h and z depend on each other and count as free."""
    text = """g (float[n] x) => (float[n] y, float[n] dh)
    { h = Exp(x) z = Neg(x) three = Constant<value_float = 3.0>() s = Mul(h, h) k = Mul(s, three) y = Mul(k, z)
      other = Mul(x, x)
      [dy] dh = ai.onnx.preview.training.Gradient <xs = ["h"], zs = ["z"], y = "y"> (other, x) }"""
    x = numbers(2, 3)
    y, dh = lowered(text, x=x)
    np.testing.assert_allclose(y, -3 * x * np.exp(2 * x), rtol=1e-6)
    np.testing.assert_allclose(dh, 3 * 2 * x**2 * x, rtol=1e-6)


def test_gradients_of_gradients() -> None:
    """Second and third derivatives of x^4, the last node written first: its y is made behind it."""
    text = """g (float[n] x) => (float[n] d1, float[n] d2, float[n] d3)
    { s = Mul(x, x) y = Mul(s, s)
      [third] d3 = ai.onnx.preview.training.Gradient <xs = ["x"], y = "d2"> (x)
      [first] d1 = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x)
      [second] d2 = ai.onnx.preview.training.Gradient <xs = ["x"], y = "d1"> (x) }"""
    x = numbers(1, 2)
    for found, expected in zip(lowered(text, x=x), (4 * x**3, 12 * x**2, 24 * x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_training_step() -> None:
    """The purpose of the operator: a weight less its gradient, in one graph, through an operator without a rule."""
    text = """g (float[2, 3] x, float[3, 1] w, float[2, 1] wanted) => (float[3, 1] better)
    { guess = MatMul(x, w) miss = Sub(guess, wanted) soft = Softplus(miss) loss = ReduceSum<keepdims = 0>(soft)
      [dy] dw = ai.onnx.preview.training.Gradient <xs = ["w"], zs = ["x", "wanted"], y = "loss"> (w, x, wanted)
      better = Sub(w, dw) }"""
    rng = np.random.default_rng(0)
    x, w, wanted = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3), (3, 1), (2, 1)))
    (better,) = lowered(text, x=x, w=w, wanted=wanted)
    expected = w - x.T @ (1 / (1 + np.exp(wanted - x @ w)))
    np.testing.assert_allclose(better, expected, rtol=1e-5, atol=1e-6)


def test_a_model_without_such_nodes_stays() -> None:
    (y,) = lowered("g (float[n] x) => (float[n] y) { y = Exp(x) }", x=numbers(0))
    assert y == 1


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ('<xs = ["q"], y = "y"> (x)', "xs names 'q', but the graph has no such tensor"),
        ('<xs = ["x"], y = "r"> (x)', "y names 'r', but the graph has no such tensor"),
        ('<xs = ["x"], zs = ["y"], y = "y"> (x)', "1 xs, 1 zs, 1 inputs and 1 outputs"),
        ('<xs = ["k"], y = "y"> (k)', "tensor 'k' is INT64, which has no gradient"),
        ('<xs = ["x"], y = "d"> (x)', "is a gradient of itself"),
        ('<xs = ["x"], y = "f"> (x)', "no differentiable path leads from 'x' to 'f'"),
    ],
)
def test_what_cannot_be_lowered_is_said(node: str, says: str) -> None:
    text = f"""g (float[n] x, int64[n] k) => (float[n] d)
    {{ y = Exp(x) f = Floor(x) [dy] d = ai.onnx.preview.training.Gradient {node} }}"""
    with pytest.raises(onnxray.OnnxrayError, match=says) as error:
        onnxray.lower_gradients(onnx.parser.parse_model(HEAD + text))
    assert "\n" not in str(error.value)
