"""Walkthroughs in Keras: the scripts run, and give what the recipes give in TensorFlow on the same weights."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest

LIMIT = 1e-4  # relative L2


@pytest.fixture(scope="module")
def recipes(example):
    example("digits_in_keras", "tensorflow", "keras", "tf2onnx")
    return pytest.importorskip("keras_recipes")


@pytest.fixture(scope="module")
def wine(example):
    script = example("features_of_a_decision", "tensorflow", "keras", "tf2onnx", "sklearn")
    found = script.load_wine()
    x = script.standardised(found.data)
    net = script.train(x, found.target)
    return script, net, x[:32]


@pytest.mark.slow
def test_features_jacobian_and_saliency(wine, recipes, distance, measured):
    _, net, x = wine
    from onnxray.converters import to_onnx

    model = onnxray.load(to_onnx(net))
    jacobian, found = onnxray.jacobian(model, x), onnxray.explain(model, x)
    assert jacobian.shape == (32, 3, 13)
    gaps = {
        "Jacobian": distance(jacobian, recipes.jacobian(net, x)),
        "saliency": distance(found.values, recipes.gradient(net, x, found.target)),
    }
    measured(str(gaps))
    assert max(gaps.values()) < LIMIT
    assert (found.target == net.predict(x, verbose=0).argmax(1)).all()
    assert np.abs(jacobian.sum(1)).max() < 1e-5 * np.abs(jacobian).max() * 13


@pytest.mark.slow
def test_the_script_of_features_runs(wine, tmp_path, monkeypatch, is_picture, capsys):
    script, net, _ = wine
    monkeypatch.setattr(script, "train", lambda x, y: net)
    script.main(tmp_path / "features.png")
    assert is_picture(tmp_path / "features.png")
    assert "Jacobian of shape (3, 13)" in capsys.readouterr().out


@pytest.fixture(scope="module")
def digits(example):
    script = example("digits_in_keras", "tensorflow", "keras", "tf2onnx", "sklearn")
    x, y = script.digits()
    return script, script.train(x[100:], y[100:], epochs=3), x[:100], y[:100]


@pytest.mark.slow
def test_digits_vanilla_gradient(digits, recipes, distance, measured):
    script, net, x, y = digits
    from onnxray.converters import to_onnx

    found = onnxray.explain(to_onnx(net), x)
    assert (found.target == y).mean() > 0.85
    exact = recipes.in_double(net, lambda: recipes.copy(net))  # a pooling at a kink goes either way in float32
    wanted = recipes.gradient(exact, x.astype(np.float64), found.target)
    own = recipes.gradient(net, x, found.target)
    gaps = {"gradient": [distance(one, wanted) for one in (found.values, own)]}
    maps = [one.max(-1) for one in (found.values, own, wanted)]  # the signed maximum over the channels
    np.testing.assert_array_equal(found.map("max"), maps[0])
    scaled = [np.stack([script.scaled(one) for one in each]) for each in maps]
    gaps["map, 0 to 1"] = [distance(one, scaled[2]) for one in scaled[:2]]
    measured(str(gaps))
    check(gaps)


@pytest.mark.slow
def test_the_script_of_digits_runs(digits, tmp_path, monkeypatch, is_picture, capsys):
    script, net, *_ = digits
    monkeypatch.setattr(script, "train", lambda x, y: net)
    script.main(tmp_path / "digits.png")
    assert is_picture(tmp_path / "digits.png")
    assert "predicted [" in capsys.readouterr().out


def against_the_recipes(net, exact, model, x, layer, recipes, distance):
    """Engine and framework for saliency, guided saliency and Grad-CAM: [distance, what float32 costs the framework].

    Both are measured from the framework's float64, for a Relu or a pooling at a kink goes either way in float32.
    """
    target = onnxray.explain(model, x).target
    cam = {"layer": layer}
    pairs = {
        "saliency": (recipes.gradient, (), {}),
        "guided-backprop": (recipes.guided, (), {}),
        "grad-cam": (recipes.grad_cam, (layer,), cam),
    }
    gaps = {}
    for method, (recipe, more, options) in pairs.items():
        truth = recipe(exact, x.astype(np.float64), target, *more)
        noise = distance(recipe(net, x, target, *more), truth)
        gaps[method] = [distance(onnxray.explain(model, x, method, **options).values, truth), noise]
    return gaps


KINKED = (
    1e-2  # of a map in full size: of 14 million Relus some lie within rounding of a kink, others on every processor
)


def check(gaps, limit=LIMIT):
    assert all(gap <= max(limit, 3 * noise) for gap, noise in gaps.values()), gaps


def vgg16_against_the_recipes(script, recipes, distance, size):
    """The results of the walkthrough on VGG16, each beside the recipe."""
    from onnxray.converters import to_onnx

    net = script.vgg16(size=size)
    model = onnxray.load(to_onnx(net))  # first, as it needs the most memory
    exact = recipes.in_double(net, lambda: script.vgg16(size=size))
    x = onnxray.Preprocess.preset("caffe", size=(size, size), layout="NHWC")(script.picture("cat"))
    gaps = against_the_recipes(net, exact, model, x, "block5_conv3", recipes, distance)
    found = onnxray.activations(model, x, script.LAYERS)
    layers = script.keras.Model(net.inputs, [net.get_layer(name).output for name in script.LAYERS])(x)
    for name, maps in zip(script.LAYERS, layers, strict=True):
        gaps[name] = [distance(found[name], np.asarray(maps).transpose(0, 3, 1, 2)), 0]
    assert onnxray.explain(model, x, "grad-cam", layer="block5_conv3").values.shape == (1, size // 16, size // 16)
    return gaps


@pytest.mark.slow
def test_vgg16_small(example, recipes, distance, measured):
    script = example("vgg16_in_keras", "tensorflow", "keras", "tf2onnx", "skimage")
    gaps = vgg16_against_the_recipes(script, recipes, distance, 64)
    measured(str(gaps))
    check(gaps)


@pytest.mark.slow
def test_vgg16_in_full(example, recipes, distance, measured):
    script = example("vgg16_in_keras", "tensorflow", "keras", "tf2onnx", "skimage")
    gaps = vgg16_against_the_recipes(script, recipes, distance, 224)
    measured(str(gaps))
    check(gaps, KINKED)


@pytest.mark.slow
def test_the_script_of_vgg16_runs(example, tmp_path, is_picture, capsys):
    script = example("vgg16_in_keras", "tensorflow", "keras", "tf2onnx", "skimage")
    script.main(tmp_path / "vgg16.png", trained=tmp_path, size=64)
    assert is_picture(tmp_path / "vgg16.png")
    assert capsys.readouterr().out.count("is not here") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    "ResNet-8, CIFAR-10", "mini-Xception, emotions"
])  # fmt: skip
def test_the_trained_nets_beside_it(name, example, recipes, distance, data, measured):
    """Real files: the class is right, and the maps are those of the recipe."""
    script = example("vgg16_in_keras", "tensorflow", "keras", "tf2onnx", "skimage")
    from onnxray.converters import to_onnx
    from onnxray.converters.keras_files import read_config, readable

    file, what, recipe, layer = script.TRAINED[name]
    path, x = data(f"keras/{file}"), recipe(script.picture(what))
    with readable(path, read_config(path)) as cleaned:
        net = script.keras.saving.load_model(cleaned, compile=False)
    exact = recipes.in_double(net, lambda: recipes.copy(net))
    model = onnxray.load(to_onnx(path))
    assert onnxray.explain(model, x).target[0] == 3  # of the classes cat, and happy
    gaps = against_the_recipes(net, exact, model, x, layer, recipes, distance)
    measured(str(gaps))
    check(gaps)
