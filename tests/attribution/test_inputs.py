"""Inputs of all kinds: several, without a batch, of a fixed batch, of open sizes, half and double."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest
from black_box import QUICK
from by_hand import CONV, TOLERANCE, model, normal
from measures import distance
from onnx import helper
from onnxray import models
from replicas import REPLICAS

OF_ANY_SIZE = [name for name in REPLICAS if name != "mutagenesis"]  # which looks for an axis of four letters


def test_several_inputs() -> None:
    """y = relu(u) A + (v * e) B with e = E[i], the embedding of i, and v transposed: its batch is axis 1."""
    weights = {"A": normal(5, 3), "B": normal(2, 3), "E": normal(7, 2)}
    proto = model(
        """net (float[N, 5] u, float[2, N] v, int64[N] i) => (float[N, 3] y) {
            r = Relu(u)
            ra = MatMul(r, A)
            t = Transpose<perm=[1, 0]>(v)
            e = Gather(E, i)
            m = Mul(t, e)
            mb = MatMul(m, B)
            y = Add(ra, mb)
        }""",
        weights,
    )
    u, v, i, target = normal(4, 5), normal(2, 4), np.array([3, 0, 6, 6]), [0, 2, 1, 1]
    a = onnxray.explain(proto, {"u": u, "v": v, "i": i}, target=target)
    assert isinstance(a.values, dict)
    assert list(a.values) == ["u", "v", "e"]
    assert distance(a.values["u"], (u > 0) * weights["A"].T[target]) <= TOLERANCE
    assert distance(a.values["v"], (weights["E"][i] * weights["B"].T[target]).T) <= TOLERANCE
    assert distance(a.values["e"], v.T * weights["B"].T[target]) <= TOLERANCE
    starts = {"u": 0.5, "v": normal(2)}
    a = onnxray.explain(
        proto, {"u": u, "v": v, "i": i}, "integrated-gradients", target=target, baseline=starts, steps=40
    )
    assert isinstance(a.values, dict)
    way, mean = v - starts["v"][:, None], (v + starts["v"][:, None]) / 2  # e goes from 0 at the same time
    assert distance(a.values["v"], (way.T * weights["E"][i] / 2 * weights["B"].T[target]).T) <= TOLERANCE
    assert distance(a.values["e"], mean.T * weights["E"][i] * weights["B"].T[target]) <= TOLERANCE


SHARED = """net (float[N, 4] x, float[4] s) => (float[N, 4] y) { r = Relu(x)  y = Mul(r, s) }"""


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "smoothgrad"])
def test_an_input_without_a_batch_axis_is_explained_for_each_example(method: str) -> None:
    x, s = np.abs(normal(3, 4)), normal(4)
    a = onnxray.explain(model(SHARED), {"x": x, "s": s}, method, target=[1, 2, 3])
    assert isinstance(a.values, dict)
    for row in range(3):
        alone = onnxray.explain(model(SHARED), {"x": x[row : row + 1], "s": s}, method, target=row + 1)
        assert isinstance(alone.values, dict)
        for name in ("x", "s"):
            np.testing.assert_allclose(a.values[name][row], alone.values[name][0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batch", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4))])
@pytest.mark.parametrize("method", OF_ANY_SIZE)
def test_a_fixed_batch_takes_any_number_of_examples(method: str, batch: int) -> None:
    x, options = CONV.x(5), QUICK.get(method, {})
    fixed = onnxray.explain(CONV.proto(batch), x, method, target=[0, 1, 2, 3, 0], **options)
    free = onnxray.explain(CONV.proto(), x, method, target=[0, 1, 2, 3, 0], **options)
    assert distance(fixed.values, np.asarray(free.values)) <= TOLERANCE
    np.testing.assert_allclose(fixed.score, free.score, rtol=1e-5)


@pytest.mark.parametrize("method", OF_ANY_SIZE)
def test_open_spatial_dimensions(method: str) -> None:
    options = QUICK.get(method, {})
    ex = onnxray.Explainer(CONV.proto(size=("H", "W")), method, **options)
    for size in ((6, 5), (4, 9), (6, 5)):
        x = CONV.x(2, size=size)
        assert distance(ex(x, 3).values, REPLICAS[method](CONV, x, 3, **options)) <= TOLERANCE


def test_everything_open() -> None:
    proto = CONV.proto(size=("H", "W"))
    for dim in proto.graph.input[0].type.tensor_type.shape.dim:
        dim.Clear()
    x = CONV.x()
    assert distance(onnxray.explain(proto, x, target=0).values, CONV.gradient(x, 0)) <= TOLERANCE


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_half_and_double_models(kind: type) -> None:
    letter = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    proto = model("net (float[N, 5] x) => (float[N, 3] y) { y = MatMul(x, W) }", {"W": normal(5, 3).astype(kind)})
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = letter
    a = onnxray.explain(proto, normal(2, 5), target=1)
    assert np.asarray(a.values).dtype == np.float32
    assert distance(a.values, np.stack([normal(5, 3).astype(kind)[:, 1]] * 2)) <= 1e-6


def test_preprocessing_in_words_is_that_of_the_command_line() -> None:
    """A preset with the model's own size, also with changes; a bad word is an error of one line."""
    digits, digit = models.path("digits.onnx"), models.path("digit.png")
    said = onnxray.Preprocess.preset("imagenet", size=(28, 28), channels="L", mean=(0.5,), std=(0.25,))
    worded = onnxray.Explainer(digits, preprocess="imagenet,mean=0.5,std=0.25")
    assert worded.preprocess == said
    np.testing.assert_array_equal(worded(digit).values, onnxray.explain(digits, digit, preprocess=said).values)
    with pytest.raises(onnxray.InputError, match="imagenet"):
        onnxray.explain(digits, digit, preprocess="imagenett")
