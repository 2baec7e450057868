"""Models without a gradient: steps and integers in the way, operators that nobody knows."""

from __future__ import annotations

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from failing import fails
from onnxray import InputError, ModelError, NoGradientPath, UnsupportedOperator


@pytest.mark.parametrize("op", ["Floor", "Round", "Sign"])
@pytest.mark.parametrize("method", ["saliency", "guided-backprop", "integrated-gradients", "smoothgrad"])
def test_no_differentiable_path(op: str, method: str) -> None:
    stepped = model(f"net (float[N, 3] x) => (float[N, 3] y) {{ [steps] s = {op}(x)  y = Mul(s, s) }}")
    with fails(NoGradientPath, "'x'", op, "'steps'", "occlusion"):
        onnxray.explain(stepped, normal(2, 3), method)
    assert np.asarray(onnxray.explain(stepped, normal(2, 3), "occlusion").values).shape == (2, 3)
    with fails(NoGradientPath, "'x'", "'y'", op, "'steps'"):
        onnxray.differentiate(stepped)


def test_argmax_as_the_output() -> None:
    label = model("net (float[N, 3] x) => (int64[N] y) { y = ArgMax<axis=1, keepdims=0>(x) }")
    with fails(ModelError, "score 'x'", "input of the model"):  # what ArgMax reads
        onnxray.explain(label, normal(2, 3))
    with fails(ModelError, "output"):
        onnxray.differentiate(label)


def test_gradient_through_argmax() -> None:
    text = """net (float[N, 3] x) => (float[N, 1] y) {
        [best] i = ArgMax<axis=1, keepdims=1>(x)
        y = Cast<to=1>(i)
    }"""
    with fails(NoGradientPath, "'x'", "ArgMax", "'best'"):
        onnxray.explain(model(text), normal(2, 3))


def test_score_that_does_not_depend_on_the_input() -> None:
    constant = model("net (float[N, 3] x) => (float[N, 3] y) { s = Shape(x)  y = ConstantOfShape(s) }")
    with fails(NoGradientPath, "'x'"):
        onnxray.explain(constant, normal(2, 3))


def test_operator_that_nobody_knows() -> None:
    with fails(UnsupportedOperator, "Frobnicate", "'odd'"):
        onnxray.explain(model("net (float[N, 3] x) => (float[N, 3] y) { [odd] y = Frobnicate(x) }"), normal(2, 3))


def test_operator_of_another_domain() -> None:
    proto = parser_with_domain()
    with fails(UnsupportedOperator, "com.acme", "Spin", "'odd'"):
        onnxray.explain(proto, normal(2, 3))


def parser_with_domain() -> onnx.ModelProto:
    text = """<ir_version: 8, opset_import: ["" : 18, "com.acme" : 1]>
    net (float[N, 3] x) => (float[N, 3] y) { [odd] y = com.acme.Spin(x) }"""
    return onnx.parser.parse_model(text)


def test_no_float_input() -> None:
    sizes = model("net (int64[N, 3] x) => (float[2] y) { s = Shape(x) y = Cast<to=1>(s) }")
    with fails(ModelError, "nothing in the model is a floating-point number that depends on its inputs"):
        onnxray.explain(sizes, np.ones((2, 3), np.int64))
    integers = model("net (int64[N, 3] x) => (float[N, 3] y) { y = Cast<to=1>(x) }")
    with fails(InputError, "'x'", "INT64"):
        onnxray.differentiate(integers, wrt=["x"])


def test_an_input_without_influence_is_told_from_one_without_a_gradient() -> None:
    """Of two towers; what explains a score, such as the choice of the top class, is no end of a path."""
    net = model(
        "net (float[N, 2] a, float[N, 2] b) => (float[N, 2] own, float[N, 2] both, float[N, 2] cut) {"
        " own = Tanh(a) both = Add(a, b) f = Floor(b) cut = Add(own, f) }"
    )
    feeds = {"a": normal(1, 2), "b": normal(1, 2)}
    with pytest.raises(onnxray.NoGradientPath, match=r"^'b' has no influence on the score: name another by score="):
        onnxray.explain(net, feeds, score="own")
    with pytest.raises(
        onnxray.NoGradientPath, match=r"from 'b' to the score; it ends at operator Floor \([^;]*\): use"
    ):
        onnxray.explain(net, feeds, score="cut")
    assert onnxray.explain(net, feeds, score="both").values["b"].any()
    assert not onnxray.explain(net, feeds, "occlusion", score="own").values["b"].any()
