"""Live Keras models: parity, layers proved by value, names as users know them, the model left as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from late import Late, late
from onnxray.converters import Spec, to_onnx
from onnxray.errors import ConversionError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras, L = late("keras", "tensorflow", "tf2onnx"), Late("keras.layers")


@pytest.fixture(autouse=True)
def _on_tensorflow():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend here")


def mlp():
    return keras.Sequential([keras.Input((20,)), L.Dense(16, "relu"), L.Dropout(0.5), L.Dense(4, "softmax")])


def digits():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(32, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(64, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(10, activation="softmax"),
        ]
    )


def lstm():
    return keras.Sequential([keras.Input((12, 5)), L.LSTM(8, return_sequences=True), L.LSTM(6), L.Dense(3)])


def two_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((6, 6, 2), name="right")
    pooled = L.GlobalAveragePooling2D(name="pool")(L.Conv2D(3, 3, name="conv")(right))
    joined = L.Concatenate(name="join")([L.Dense(3, name="dense")(left), pooled])
    return keras.Model([left, right], [L.Dense(2, name="a")(joined), L.Dense(1, name="b")(joined)])


def application(name, size):
    return lambda: getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)


def exact_gelu():
    """Keras writes it with Erfc, which the ONNX standard does not have."""
    return keras.Sequential([keras.Input((6,)), L.Dense(8, activation="gelu"), L.Dense(3)])


MODELS = {
    "exact GELU": (exact_gelu, 3),
    "mlp": (mlp, 4),
    "digits": (digits, 8),
    "lstm": (lstm, 4),
    "two inputs": (two_inputs, 8),
    "VGG16": (application("VGG16", 32), 23),
    "MobileNetV2": (application("MobileNetV2", 64), 156),
    "EfficientNetB0": (application("EfficientNetB0", 64), 240),
}


def randomised(model):
    """Batch norms and normalisations as after training."""
    generator = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def as_keras(value, layout):
    """A tensor of the graph in the order of axes that Keras has."""
    order = {"NCHW": (0, 2, 3, 1), "NCL": (0, 2, 1)}.get(layout)
    return value.transpose(order) if order else value


LARGE = ("lstm", "VGG16", "MobileNetV2", "EfficientNetB0")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in MODELS
])  # fmt: skip
def test_outputs_layers_and_gradients_agree(name, notes, tensors, engine):
    build, count = MODELS[name]
    keras.utils.set_random_seed(0)
    source = randomised(build())
    model = to_onnx(source, check_gradients=engine)
    onnx.checker.check_model(model)
    assert all(entry["relative_l2"] < 1e-4 for entry in notes(model, "gradients").values())
    parity, found, missing = notes(model, "parity"), notes(model, "layers"), notes(model, "layers.missing")
    assert parity["of_tolerance"] < 0.5
    assert parity["batch_sizes"] == [1, 4]
    assert len(found) + len(missing) == count
    assert len(found) >= 0.95 * count, missing

    generator = np.random.default_rng(3)
    feed = {i.name: generator.standard_normal((3, *i.shape[1:])).astype("f") for i in source.inputs}
    names = [value.name for value in model.graph.input]
    feed = dict(zip(names, feed.values(), strict=True))
    plain = [layer for layer in source.layers if layer.name in found and not isinstance(layer, L.InputLayer)]
    wanted = keras.Model(source.inputs, [layer.output for layer in plain]).predict_on_batch(list(feed.values()))
    values = tensors(model, [entry["tensor"] for entry in found.values()], feed)
    for layer, value in zip(plain, wanted, strict=True):
        entry = found[layer.name]
        got = as_keras(values[entry["tensor"]], entry["layout"]).reshape(value.shape)
        np.testing.assert_allclose(got, value, atol=2e-4 * max(1, np.abs(value).max()), err_msg=layer.name)


def test_operator_without_an_onnx_form_is_named():
    import tensorflow as tf

    x = keras.Input((6,))
    layer = L.Lambda(tf.math.lgamma)
    with pytest.raises(ConversionError, match=r"operator Lgamma \(.*has no form in ONNX opset 18; write this layer"):
        to_onnx(keras.Model(x, layer(L.Dense(3, activation="softplus")(x))))


def test_names_that_tensorflow_would_mangle(notes):
    x = keras.Input((8, 8, 3), name="picture")
    shared = L.Conv2D(4, 3, padding="same", name="my conv")
    y = L.Dense(4, name="dense_1")(shared(shared(L.Conv2D(4, 1, name="dense")(x))))
    inner = keras.Sequential([L.Conv2D(5, 1, name="conv"), L.GlobalMaxPooling2D(name="pool")], name="inner")
    source = keras.Model(x, L.Dense(2, name="probs")(inner(y)))
    names = [layer.name for layer in source.layers]
    model = to_onnx(source)
    assert [layer.name for layer in source.layers] == names
    found = notes(model, "layers")
    assert set(found) == {
        *("picture", "dense", "my conv", "my conv:1", "dense_1", "inner", "inner/conv", "inner/pool", "probs"),
    }
    assert found["my conv"]["tensor"] != found["my conv:1"]["tensor"]
    assert found["inner/conv"]["layout"] == "NCHW"
    assert found["inner"] == found["inner/pool"]
    assert "oxr0" not in str(model)
    assert {"my conv/kernel", "inner/conv/kernel"} <= {tensor.name for tensor in model.graph.initializer}


def test_names_do_not_depend_on_what_was_converted_before():
    source = digits()
    first, second = to_onnx(source), to_onnx(source)
    assert [node.name for node in first.graph.node] == [node.name for node in second.graph.node]


def subclassed():
    """A model of two arguments, with a layer called twice; and one of a dictionary."""

    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = L.Dense(4, "relu", name="hidden"), L.Dense(2, name="head")

        def call(self, left, right):
            return self.head(self.hidden(left)) - self.head(right)

    class Mapping(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = L.Dense(2, name="head")

        def call(self, inputs):
            return self.head(inputs["b"]) * inputs["a"]

    return Plain, Mapping


def test_subclassed_models(notes):
    Plain, Mapping = subclassed()  # noqa: N806
    with pytest.raises(ConversionError, match="give inputs="):
        to_onnx(Plain())
    for inputs in ([(None, 3), (None, 4)], {"right": (None, 4), "left": Spec((None, 3))}):
        model = to_onnx(Plain(), inputs=inputs)
        assert {value.name for value in model.graph.input} == {"left", "right"}
        assert set(notes(model, "layers")) == {"left", "right", "hidden", "head", "head:1"}
    called = Mapping()
    called({"a": np.ones((2, 2), "f"), "b": np.ones((2, 5), "f")})
    assert [value.name for value in to_onnx(called).graph.input] == ["a", "b"]


@pytest.mark.slow
def test_integers_masks_and_bidirectional_layers(notes):
    words = keras.Input((10,), dtype="int32", name="words")
    states = L.Bidirectional(L.GRU(4), name="both")(L.Embedding(30, 6, mask_zero=True, name="embed")(words))
    model = to_onnx(keras.Model(words, L.Dense(2, name="head")(states)))
    assert not {node.op_type for node in model.graph.node} & {"Loop", "Scan"}
    assert {"embed", "both", "head"} <= set(notes(model, "layers"))


def test_open_time_axis_becomes_an_lstm_operator():
    source = keras.Sequential([keras.Input((None, 5)), L.LSTM(4), L.Dense(2)])
    assert "LSTM" in {node.op_type for node in to_onnx(source).graph.node}
    assert not source.layers[0].unroll


def test_normalization_constants_are_no_inputs():
    layer = L.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    model = to_onnx(keras.Sequential([keras.Input((2,)), layer, L.Dense(1)]))
    assert len(model.graph.input) == 1


def test_weights_stay_as_they_are():
    source = digits()
    before = [w.copy() for w in source.get_weights()]
    to_onnx(source)
    assert all(np.array_equal(a, b) for a, b in zip(before, source.get_weights(), strict=True))


def test_gradients_are_compared(notes):
    source = keras.Sequential([keras.Input((3,), name="x"), L.Dense(4, name="out")])
    kernel, _ = source.get_weights()

    def exact(model, feed):
        probe = next(
            onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name.startswith("onnxray_probe")
        )
        return {name: np.broadcast_to(kernel @ probe, rows.shape) for name, rows in feed.items()}

    assert notes(to_onnx(source, check_gradients=exact), "gradients")["x"]["relative_l2"] < 1e-5
    with pytest.raises(ConversionError, match="gradient of input 'x'"):
        to_onnx(source, check_gradients=lambda model, feed: {"x": np.ones_like(feed["x"])})


def test_randomness_is_found_out():
    class Noise(keras.layers.Layer):
        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x))

    with pytest.raises(ConversionError):
        to_onnx(keras.Sequential([keras.Input((3,)), Noise()]))


def test_half_precision(notes):
    source = keras.Sequential([keras.Input((6,)), L.Dense(8, "relu", dtype="mixed_float16"), L.Dense(2)])
    assert notes(to_onnx(source), "parity")["of_tolerance"] < 1


CHILD = """
import sys, keras, numpy as np
from onnxray.converters import to_onnx
keras.utils.set_random_seed(1)
L = keras.layers
layers = [L.Conv2D(4, 3, name="conv"), L.LayerNormalization(), L.Flatten(), L.Dense(2)]
model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
x = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype("f")
to_onnx(model, sys.argv[1], inputs=x)
np.savez(sys.argv[2], x=x, y=keras.ops.convert_to_numpy(model(x)))
"""


@pytest.mark.slow
def test_a_model_of_the_torch_backend(tmp_path, notes, tensors):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    order = [sys.executable, "-c", CHILD, str(tmp_path / "model.onnx"), str(tmp_path / "values.npz")]
    subprocess.run(order, env={**os.environ, "KERAS_BACKEND": "torch"}, check=True, capture_output=True, timeout=300)
    model, values = onnx.load(tmp_path / "model.onnx"), np.load(tmp_path / "values.npz")
    assert notes(model, "layers")["conv"]["layout"] == "NCHW"
    feed = {model.graph.input[0].name: values["x"]}
    name = model.graph.output[0].name
    np.testing.assert_allclose(tensors(model, [name], feed)[name], values["y"], atol=1e-5)
