"""Shapes that files declare: names that mean nothing, sizes that are not computed, branches that are not taken."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from failing import fails
from onnxray import InputError, ModelError, OnnxrayError
from onnxray.diagnostics.inspection import inspect


def dims(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def curved(text: str = "float[N, H, W] x", declared: str = "float[N, H, W] y") -> onnx.ModelProto:
    return model(f"net ({text}) => ({declared}) {{ y = HardSigmoid(x) }}")


@pytest.mark.parametrize("name", ["?", "None", "-1", "a b", "p2o.DynamicDimension.0", -1])
def test_dimensions_whose_names_are_no_identifiers_need_not_be_equal(name: str | int) -> None:
    proto = curved()
    for dim in dims(proto.graph.input[0])[1:] + dims(proto.graph.output[0])[1:]:
        dim.ClearField("value")
        setattr(dim, "dim_param" if isinstance(name, str) else "dim_value", name)
    found = onnxray.explain(proto, normal(2, 3, 4), target=(1, 2), score="output").values
    np.testing.assert_allclose(found[:, 1, 2], 0.2, rtol=1e-6)
    assert np.count_nonzero(found) == 2
    loaded = onnxray.load(proto)
    assert loaded.inputs[0].shape is not None
    assert [d.value for d in loaded.inputs[0].shape[1:]] == [None, None]  # type: ignore[union-attr]


def test_named_dimensions_keep_their_names() -> None:
    (x,) = onnxray.load(curved()).inputs
    assert [str(d) for d in x.shape or ()] == ["N", "H", "W"]


@pytest.mark.parametrize("declared", ["float[N, H]", "float[N, 3]", "float[N, 5, 4]"])
def test_declared_output_that_is_not_the_computed_one(declared: str) -> None:
    """As ddddocr's recogniser declares rank 2 and gives rank 3: onnxruntime says so and runs it."""
    proto = curved("float[N, 3, 4] x", f"{declared} y")
    with pytest.warns(UserWarning, match="declares 'y'.*which is .*, 3, 4.; what its operators compute counts"):
        loaded = onnxray.load(proto)
    assert [d for d in loaded.outputs[0].shape or () if isinstance(d, int)] == [3, 4]
    found = onnxray.explain(loaded, normal(2, 3, 4), target=(1, 2), score="output").values
    assert found.shape == (2, 3, 4)
    assert np.count_nonzero(found) == 2


def test_declared_inner_shapes_that_are_not_the_computed_ones() -> None:
    proto = model("net (float[N, 4] x) => (float[N, 4] y) { z = Sigmoid(x)  b = Add(z, c)  y = Mul(b, z) }")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(4, np.float32), "c"))
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [1, 1]))
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, [7]))
    x = normal(3, 4)
    with pytest.warns(UserWarning, match=r"'z' \(1, 1\), which is \(N, 4\), 'b' \(7\), which is \(N, 4\)"):
        found = onnxray.explain(proto, x, target=2, score="output").values
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(found[:, 2], (s * (1 - s) * (1 + 2 * s))[:, 2], rtol=1e-5)


def test_batch_of_one_that_only_the_output_declares() -> None:
    """The exporter's mistake that rows show: it is the input that says how many there are."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = onnxray.explain(curved("float[N, 3] x", "float[1, 3] y"), normal(5, 3), target=1, score="output")
    np.testing.assert_allclose(found.values[:, 1], 0.2, rtol=1e-6)


def test_declared_shape_where_inference_knows_none() -> None:
    """The rank that a Reshape gives is that of the file where the new shape is an input."""
    proto = model("net (float[N, 6] x, int64[K] s) => (float[N, 2, 3] y) { z = Reshape(x, s)  y = Sigmoid(z) }")
    (y,) = onnxray.load(proto).outputs
    assert list(y.shape or ())[1:] == [2, 3]


TWO_RATES = """net (float[N, W] x, int64 rate) => (float[N, 3] y) {
    wide = Equal(rate, sixteen)
    y = If(wide) <
        then_branch = fine () => (float[N, 3] a) { a = MatMul(x, v) },
        else_branch = coarse () => (float[N, 3] b) { b = MatMul(x, w) }
    >
}"""


@pytest.mark.parametrize(("rate", "name"), [(16, "v"), (8, "w")])
def test_branch_that_the_sizes_at_hand_do_not_fit(rate: int, name: str) -> None:
    """As silero-vad has a branch for each sampling rate, of windows of a size of its own."""
    weights = {"v": normal(4, 3), "w": normal(2, 3)}
    proto = model(TWO_RATES)
    named = {**weights, "sixteen": np.array(16)}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, key) for key, array in named.items())
    explainer = onnxray.Explainer(proto, score="output")
    found = explainer({"x": normal(2, len(weights[name])), "rate": np.array(rate)}, target=1)
    np.testing.assert_allclose(found.values, [weights[name][:, 1]] * 2, rtol=1e-6)
    assert inspect(onnxray.load(proto)).gradient.differentiable


def test_declared_size_that_the_sizes_at_hand_contradict() -> None:
    """While the height is open, nothing contradicts the declared output; its gradient once killed the process."""
    text = """net (float[1, 1, H, 5] x) => (float[1, 1, 3, 3] y) {
        y = Conv <auto_pad = "SAME_LOWER", kernel_shape = [3, 3], strides = [2, 2]> (x, W) }"""
    kernel = normal(1, 1, 3, 3)
    found = onnxray.explain(model(text, {"W": kernel}), normal(1, 1, 2, 5), target=(0, 0, 1))
    np.testing.assert_allclose(found.values[0, 0, :, 1:4], kernel[0, 0, 1:], rtol=1e-6)  # a row of padding above
    assert np.count_nonzero(found.values) == 6


def test_scores_that_the_input_leaves_empty() -> None:
    proto = model("net (float[N, 1] x, int64[2] shape) => (float[N, M] y) { y = Expand(x, shape) }")
    with fails(InputError, "'y'", "(1, 0)", "no score"):
        onnxray.explain(proto, {"x": normal(1, 1), "shape": np.array([1, 0])})


def test_model_without_inputs() -> None:
    proto = model("net () => (float[2] y) { y = Constant<value = float[2] {1, 2}>() }")
    assert "no input" in inspect(onnxray.load(proto)).to_json()["score"]["target"]
    with fails(ModelError, "no input"):
        onnxray.explain(proto, {})


def test_optional_of_a_sequence_is_no_score() -> None:
    text = "net (float[2] x) => (optional(seq(float[2])) y) { s = SequenceConstruct(x) y = Optional(s) }"
    with fails(ModelError, "no floating-point output"):
        onnxray.explain(model(text), normal(2))


@pytest.mark.parametrize("size", [0, 2**62])
def test_declared_scores_that_cannot_be(size: int) -> None:
    proto = model(f"net (float[N, 3, 4, 2] x, int64[1] axes) => (float[3, 4, {size}] y) {{ y = Squeeze(x, axes) }}")
    assert inspect(onnxray.load(proto)).outputs[0].shape == (3, 4, size)
    with pytest.raises(OnnxrayError, match=r"scores 'y'|Reshape"):
        onnxray.Explainer(proto)({"x": normal(1, 3, 4, 2), "axes": np.array([0])}, (0, 0))
