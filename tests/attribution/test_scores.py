"""Which tensor is the score: before the last activation, behind it, or one that is named."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest
from by_hand import DENSE, TOLERANCE, Array, model
from measures import distance
from onnx import numpy_helper


def of_output(activation: str, x: Array, k: int) -> tuple[Array, Array]:
    """Value and gradient of the activated score."""
    z, dz = DENSE.scores(x), DENSE.all_gradients(x)
    if activation == "Sigmoid":
        s = 1 / (1 + np.exp(-z[:, k]))
        return s, (s * (1 - s))[:, None] * dz[:, k]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    log = dz[:, k] - np.einsum("nk,nki->ni", p, dz)
    return (np.log(p[:, k]), log) if activation == "LogSoftmax" else (p[:, k], p[:, k, None] * log)


TAILS = {
    "alone": ("y = {}(z)", "4"),
    "Identity": ("p = {}(z)\n q = Identity(p)\n y = Identity(q)", "4"),
    "Cast": ("p = {}(z)\n q = Cast<to=11>(p)\n y = Cast<to=1>(q)", "4"),
    "Reshape": ("p = {}(z)\n y = Reshape(p, shape)", "4, 1"),
    "Flatten": ("q = Reshape(z, shape)\n p = {}<axis=1>(q)\n y = Flatten(p)", "4"),
    "Squeeze": ("q = Unsqueeze(z, two)\n p = {}<axis=1>(q)\n y = Squeeze(p, two)", "4"),
    "Transpose": ("q = Unsqueeze(z, two)\n p = {}<axis=1>(q)\n y = Transpose<perm=[0, 2, 1]>(p)", "1, 4"),
    "Unsqueeze": ("p = {}(z)\n y = Unsqueeze(p, two)", "4, 1"),
    "all": (
        "q = Unsqueeze(z, two)\n p = {}<axis=1>(q)\n t = Transpose<perm=[2, 0, 1]>(p)\n"
        "s = Squeeze(t, zero)\n c = Cast<to=11>(s)\n d = Reshape(c, shape)\n f = Flatten(d)\n y = Cast<to=1>(f)",
        "4",
    ),
}


@pytest.mark.parametrize("activation", ["Softmax", "LogSoftmax", "Sigmoid"])
@pytest.mark.parametrize("tail", TAILS)
def test_score_before_or_behind_the_last_activation(tail: str, activation: str) -> None:
    text, shape = TAILS[tail]
    if activation == "Sigmoid":
        text = text.replace("<axis=1>", "")
    proto = DENSE.proto(text.format(activation), shape)
    vectors = {"shape": [0, 4, 1], "two": [2], "zero": [0]}
    proto.graph.initializer.extend(numpy_helper.from_array(np.array(v), name) for name, v in vectors.items())
    x = DENSE.x()
    logit, output = (onnxray.explain(proto, x, target=1, score=score) for score in ("logit", "output"))
    assert distance(logit.values, DENSE.gradient(x, 1)) <= TOLERANCE
    assert distance(logit.score, DENSE.scores(x)[:, 1]) <= TOLERANCE
    value, gradient = of_output(activation, x, 1)
    assert distance(output.values, gradient) <= TOLERANCE
    assert distance(output.score, value) <= TOLERANCE


def test_softmax_within_the_model_is_no_last_activation() -> None:
    proto = DENSE.proto("p = Softmax(z)\n y = Mul(p, two)")
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2], np.float32), "two"))
    x = DENSE.x()
    assert distance(onnxray.explain(proto, x, target=1).values, 2 * of_output("Softmax", x, 1)[1]) <= TOLERANCE


@pytest.mark.parametrize("tail", ["y = ArgMax <axis = 1> (z)", "m = ArgMax <axis = 1> (z) y = Cast <to = 6> (m)"])
def test_a_model_that_gives_classes_alone_is_explained_by_their_scores(tail: str) -> None:
    proto = DENSE.proto()
    proto = model(f"net (float[N, 6] x) => ({'int32' if 'Cast' in tail else 'int64'}[N, 1] y) {{ h = Gemm(x, A, a) "
                  f"r = Relu(h) z = Gemm(r, B, b) {tail} }}", DENSE.weights)  # fmt: skip
    found, own = (onnxray.explain(one, DENSE.x(), target=2) for one in (proto, DENSE.proto()))
    np.testing.assert_allclose(found.values, own.values, rtol=1e-6)


def test_score_may_be_a_tensor() -> None:
    a = onnxray.explain(DENSE.proto("y = Softmax(z)"), DENSE.x(), target=1, score="z")
    assert distance(a.values, DENSE.gradient(DENSE.x(), 1)) <= TOLERANCE


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "occlusion"])
def test_a_score_is_computed(method: str) -> None:
    text = "net (float[N, 3] x) => (float[N, 3] x) { y = ReduceSum <keepdims = 0> (x) }"
    with pytest.raises(onnxray.ModelError, match="'x' is an input of the model"):
        onnxray.explain(model(text), np.ones((2, 3), np.float32), method)


def test_an_input_may_be_one_number() -> None:
    """y = k x: the path of k from 0 to 2 is as good as one step."""
    scaled = model("net (float[N, 3] x, float k) => (float[N, 3] y) { y = Mul (x, k) }")
    x = np.array([[1, 2, 4]], np.float32)
    a = onnxray.explain(scaled, {"x": x, "k": np.array(2, np.float32)}, "integrated-gradients", target=2)
    np.testing.assert_allclose(a.values["k"], [4], rtol=1e-5)
    np.testing.assert_allclose(a.values["x"], [[0, 0, 4]], rtol=1e-5)


@pytest.mark.parametrize("size", [2, "N"])
@pytest.mark.parametrize("method", ["occlusion", "integrated-gradients"])
def test_examples_may_be_one_number_each(method: str, size: int | str) -> None:
    """Both methods give sin(x) - sin(0)."""
    proto = model(f"net (float[{size}] x) => (float[{size}] y) {{ y = Sin (x) }}")
    x = np.array([1, 2], np.float32)
    found = onnxray.explain(proto, x, method, target=0, score="output")
    np.testing.assert_allclose(found.values, np.sin(x), rtol=1e-4)


def test_jacobian_is_of_the_output_unless_logits_are_asked_for() -> None:
    proto, x = DENSE.proto("y = Softmax(z)"), DENSE.x()
    expected = np.stack([of_output("Softmax", x, k)[1] for k in range(4)], 1)
    assert distance(onnxray.jacobian(proto, x), expected) <= TOLERANCE
    assert distance(onnxray.jacobian(proto, x, score="logit"), DENSE.all_gradients(x)) <= TOLERANCE
