"""Files of Keras and TensorFlow: .keras, .h5 old and new, SavedModel, .tflite; what is cleaned and what is refused."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import onnx
import pytest
from late import Late, late
from onnxray.converters import to_onnx
from onnxray.errors import ConversionError
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras, tf, h5py = late("keras", "tensorflow", "tf2onnx", "h5py"), Late("tensorflow"), Late("h5py")
L = Late("keras.layers")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def small():
    return keras.Sequential(
        [keras.Input((8, 8, 3), name="pixels"), L.Conv2D(4, 3, name="conv"), L.Flatten(), L.Dense(2, name="out")]
    )


def run(model, x):
    return ort.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: x})[0]


def rows(count=3):
    return np.random.default_rng(5).standard_normal((count, 8, 8, 3)).astype("f")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_of_keras_3_under_any_name(tmp_path, notes, suffix):
    source = small()
    source.save(tmp_path / f"model{suffix}")
    path = (tmp_path / f"model{suffix}").rename(tmp_path / "model.bin")
    model = to_onnx(path)
    np.testing.assert_allclose(run(model, rows()), source.predict_on_batch(rows()), atol=1e-5)
    assert {"conv", "out"} <= set(notes(model, "layers"))


def test_weights_alone_need_a_factory(tmp_path):
    source = small()
    source.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ConversionError, match="factory="):
        to_onnx(tmp_path / "model.weights.h5")
    model = to_onnx(tmp_path / "model.weights.h5", factory=small)
    np.testing.assert_allclose(run(model, rows()), source.predict_on_batch(rows()), atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_layers_only_on_request(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    keras.Sequential([keras.Input((3,)), L.Lambda(lambda x: 2 * x)]).save(path)
    with pytest.raises(ConversionError, match="allow_lambda=True"):
        to_onnx(path)
    model = to_onnx(path, allow_lambda=True)
    x = np.ones((1, 3), "f")
    np.testing.assert_allclose(run(model, x), 2 * x)


def test_settings_of_keras_2_are_cleaned_and_named(tmp_path):
    source = keras.Sequential([keras.Input((8, 8, 3)), L.DepthwiseConv2D(3, name="depth"), L.Flatten(), L.Dense(2)])
    path = tmp_path / "old.h5"
    source.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        next(x for x in config["config"]["layers"] if x["class_name"] == "DepthwiseConv2D")["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="dropped groups=1 of depth"):
        model = to_onnx(path)
    np.testing.assert_allclose(run(model, rows()), source.predict_on_batch(rows()), atol=1e-5)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_layer_that_keras_does_not_know(tmp_path):
    source = small()
    path = tmp_path / "model.h5"
    source.save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"Flatten"', '"NoSuchLayer"')
    with pytest.raises(ConversionError, match=r"cannot be loaded.*NoSuchLayer"):
        to_onnx(path)


def test_saved_model(tmp_path, notes):
    source = small()
    source.export(tmp_path / "saved", verbose=False)
    with pytest.warns(UserWarning, match="SavedModel is code"):
        model = to_onnx(tmp_path / "saved")
    np.testing.assert_allclose(run(model, rows()), source.predict_on_batch(rows()), atol=1e-5)
    found = notes(model, "layers")
    conv = next(entry for name, entry in found.items() if name.rpartition("/")[2].startswith("conv"))
    assert conv["layout"] == "NCHW"


def test_gradients_of_a_saved_model(tmp_path, notes):
    """One input does not reach the first output: its gradient is 0."""
    net, shape = tf.Module(), tf.TensorSpec((None, 3))
    net.serve = tf.function(lambda a, b: {"first": tf.tanh(a), "second": a + b}, input_signature=[shape, shape])
    tf.saved_model.save(net, str(tmp_path / "saved"), signatures={"serving_default": net.serve})

    def gradients(model, feed):
        probe = next(onnx.numpy_helper.to_array(t) for t in model.graph.initializer if "probe" in t.name)
        return {"a": probe * (1 - np.tanh(feed["a"]) ** 2), "b": np.zeros_like(feed["b"])}

    with pytest.warns(UserWarning, match="SavedModel is code"):
        model = to_onnx(tmp_path / "saved", check_gradients=gradients)
    assert set(notes(model, "gradients")) == {"a", "b"}


def test_tflite(tmp_path):
    source = small()
    source.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    (tmp_path / "model.bin").write_bytes(converter.convert())
    model = to_onnx(tmp_path / "model.bin")
    np.testing.assert_allclose(run(model, rows()), source.predict_on_batch(rows()), atol=1e-5)


@pytest.mark.slow
def test_quantised_tflite_is_refused(tmp_path):
    small().export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([rows(1)] for _ in range(4))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    with pytest.raises(ConversionError, match="quantised"):
        to_onnx(tmp_path / "model.tflite")


@pytest.mark.slow
def test_xception_of_fer2013(data, notes):
    model = to_onnx(data("keras/fer2013_mini_XCEPTION.102-0.66.hdf5"))
    found, missing = notes(model, "layers"), notes(model, "layers.missing")
    assert len(found) >= 0.95 * (len(found) + len(missing)), missing
    face = Image.open(data("images/grace_hopper.bmp")).convert("L").crop((150, 100, 380, 330)).resize((64, 64))
    scores = run(model, ((np.asarray(face, np.float32) / 255 - 0.5) * 2)[None, ..., None])
    assert ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"][int(scores.argmax())] == "neutral"
    assert abs(scores.sum() - 1) < 1e-4


def test_resnet_of_mlperf_tiny(data, notes):
    model = to_onnx(data("keras/tiny_pretrainedResnet_cifar10.h5"))
    assert not notes(model, "layers.missing")
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    for name, wanted in {"images/parrot.jpg": "bird", "images/cat_720p.jpg": "cat"}.items():
        image = Image.open(data(name)).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        scores = run(model, np.asarray(image, np.float32)[None])
        assert classes[int(scores.argmax())] == wanted


def test_a_truncated_file(tmp_path):
    small().save(tmp_path / "model.h5")
    whole = (tmp_path / "model.h5").read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConversionError):
        to_onnx(tmp_path / "half.h5")
    shutil.copy(tmp_path / "model.h5", tmp_path / "copy.h5")
    assert to_onnx(str(tmp_path / "copy.h5")).graph.node
