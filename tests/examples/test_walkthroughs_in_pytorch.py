"""Walkthroughs in PyTorch: the scripts run, and give what the recipes give with torch.autograd on the same weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxray
import pytest

LIMIT = 1e-4  # relative L2


@pytest.fixture(scope="module")
def recipes():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return pytest.importorskip("torch_recipes")


@pytest.fixture(scope="module")
def script(example):
    return example("googlenet_as_in_matlab", "torch", "onnxscript", "skimage")


def googlenet(script, size):
    """The net, itself in float64, the converted model, and the picture."""
    from onnxray.converters import to_onnx

    net = script.googlenet()
    picture = script.Image.fromarray(script.skimage.data.chelsea()).crop((75, 0, 375, 300))
    x = onnxray.Preprocess.preset("none", size=(size, size))(picture)
    return net, script.googlenet().double(), onnxray.load(to_onnx(net, inputs=(1, 3, size, size))), x


def gradients_against_the_recipes(script, recipes, distance, size):
    """Engine and framework for the softmax output: [distance, what rounding costs the framework].

    Both are measured from the framework's float64, for a pooling or Relu at a kink goes either way in float32: the
    cost is that of float32, or of moving the picture by a rounding of float32 in float64.
    """
    net, exact, model, x = googlenet(script, size)
    label = onnxray.explain(model, x).target
    variants = {"saliency": None, "guided-backprop": recipes.Guided, "deconvnet": recipes.ZeilerFergus}
    gaps = {}
    for method, function in variants.items():
        got = onnxray.explain(model, x, method, score="output").values
        truth = recipes.with_relu(exact, function, x, label)
        others = [recipes.with_relu(net, function, x, label)]
        others += [recipes.with_relu(exact, function, moved, label) for moved in by_a_rounding(x)]
        gaps[method] = [distance(got, truth), max(distance(one, truth) for one in others)]
        truth, got, *others = (drawn(values) for values in (truth, got, *others))
        gaps[f"map of {method}"] = [distance(got, truth), max(distance(one, truth) for one in others)]
    got = onnxray.explain(model, x, "integrated-gradients", score="output", **script.PATH).values
    wanted, truth = (recipes.path(one, x, label, 25) for one in (net, exact))
    gaps["integrated gradients"] = [distance(got, truth), distance(wanted, truth)]  # black is flat: every pool ties
    rows = np.concatenate([x * np.float32(share) for share in np.linspace(0, 1, 25)])
    got = onnxray.explain(model, rows, target=np.repeat(label, 25), score="output").values
    truth = recipes.gradient(exact, rows, np.repeat(label, 25))
    gaps["an image of the path"] = [
        float(np.median([distance(*pair) for pair in zip(got, truth, strict=True)])),
        gaps["saliency"][1],
    ]
    cam = onnxray.explain(model, x, "grad-cam", layer="inception_5b", score="output").values
    wanted, truth = (recipes.grad_cam(one, one.inception_5b, x, label) for one in (net, exact))
    gaps["Grad-CAM"] = [distance(cam, truth), distance(wanted, truth)]
    window, stride = size // 2, size // 4
    got = onnxray.explain(model, x, "occlusion", window=window, stride=stride, score="output").values
    gaps["occlusion"] = [distance(got, recipes.occlusion(net, x, int(label[0]), window, stride)), 0]
    return gaps


def by_a_rounding(x, count=4):
    """Pictures that differ from one by about the rounding of float32."""
    rng = np.random.default_rng(0)
    return [x * (1 + 1e-7 * rng.standard_normal(x.shape)) for _ in range(count)]


def drawn(values):
    """The map as it is drawn: the sum of magnitudes, from 0 to 1."""
    heat = np.abs(values).sum(1)
    return (heat - heat.min()) / np.ptp(heat)


def check(gaps):
    assert all(gap <= max(LIMIT, 3 * noise) for gap, noise in gaps.values()), gaps


@pytest.mark.slow
def test_googlenet_small(script, recipes, distance, measured):
    gaps = gradients_against_the_recipes(script, recipes, distance, 96)
    measured(str(gaps))
    check(gaps)


@pytest.mark.slow
def test_googlenet_in_full(script, recipes, distance, measured):
    gaps = gradients_against_the_recipes(script, recipes, distance, 224)
    measured(str(gaps))
    check(gaps)


def test_white_to_black_has_255_steps(script):
    shades = np.asarray(script.white_to_black(np.linspace(-3, 5, 10_000).reshape(100, 100)).convert("L"))
    assert len(np.unique(shades)) == 255
    assert (shades[0, 0], shades[-1, -1]) == (255, 0)


@pytest.mark.slow
def test_the_script_of_googlenet_runs(script, tmp_path, is_picture):
    script.main(tmp_path / "googlenet.png", int8=tmp_path / "nowhere.onnx")
    assert is_picture(tmp_path / "googlenet.png")


@pytest.mark.slow
def test_the_script_of_googlenet_runs_with_the_int8_classifier(script, tmp_path, is_picture, data, capsys):
    script.main(tmp_path / "googlenet.png", int8=data("onnx/mobilenetv2like_qdq_244.onnx"))
    assert is_picture(tmp_path / "googlenet.png")
    assert "class 285" in capsys.readouterr().out  # Egyptian cat


@pytest.fixture(scope="module")
def batch(example):
    script = example("labelled_batch_in_pytorch", "torch", "onnxscript", "cv2")
    return script, script.trained(steps=60)


@pytest.mark.slow
def test_the_batch_of_labelled_pictures(batch, recipes, distance, measured):
    """The gradient of each correct class's score, its magnitude, the largest over the colours."""
    script, net = batch
    from onnxray.converters import to_onnx

    pictures, y, _ = script.drawn(16, seed=2)
    x = script.normalised(pictures)
    found = onnxray.explain(to_onnx(net, inputs=x), x, target=y)
    wanted = recipes.gradient(net, x, y)
    gaps = {
        "gradient": distance(found.values, wanted),
        "map": distance(found.map("abs-max"), np.abs(wanted).max(1)),
    }
    measured(str(gaps))
    assert max(gaps.values()) < LIMIT


@pytest.mark.slow
def test_the_script_of_the_batch_runs(batch, tmp_path, monkeypatch, is_picture, capsys):
    script, net = batch
    monkeypatch.setattr(script, "trained", lambda: net)
    script.main(tmp_path / "batch.png")
    assert is_picture(tmp_path / "batch.png")
    mean = float(capsys.readouterr().out.split("mean ")[1].split()[0])
    assert mean > 0.5


@pytest.mark.slow
def test_labelled_photographs_in_a_trained_net(recipes, distance, data, measured):
    """ResNet-20 of CIFAR-10 on real photographs with their labels."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    from onnxray.converters import to_onnx

    sys.path.insert(0, str(Path(__file__).parents[1] / "converters"))
    nets = pytest.importorskip("source_nets")
    weights = data("torch/resnet20_cifar10.th")
    model = onnxray.load(to_onnx(weights, inputs=(1, 3, 32, 32), factory=nets.CifarResNet20))
    labels = {"parrot.jpg": 2, "doberman.png": 5, "cat_720p.jpg": 3, "owl.jpg": 2}
    x = onnxray.Preprocess.preset("imagenet", size=(32, 32))([data(f"images/{name}") for name in labels])
    y = np.array(list(labels.values()))
    found = onnxray.explain(model, x, target=y)
    net = nets.CifarResNet20().eval()
    state = torch.load(weights, weights_only=True, map_location="cpu")["state_dict"]
    net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    gap = distance(found.values, recipes.gradient(net, x, y))
    measured(f"gradient {gap:.2g}")
    assert gap < LIMIT


def test_the_object_mask_of_a_known_shape(example):
    script = example("object_mask", "cv2")
    places = np.indices((60, 60)) - np.array([25, 35])[:, None, None]
    disc = (places**2).sum(0) < 15**2
    rng = np.random.default_rng(0)
    pixels = np.where(disc[..., None], [200, 60, 40], [40, 90, 160]) + rng.normal(0, 8, (60, 60, 3))
    heat = np.where(disc, 1.0, 0.1) * rng.random((60, 60))
    mask = script.object_mask(np.uint8(np.clip(pixels, 0, 255)), heat.astype(np.float32))
    assert script.overlap(mask, disc) > 0.9
    assert script.overlap(disc, disc) == 1
    assert script.overlap(disc, ~disc) == 0


@pytest.mark.slow
def test_the_object_masks_of_photographs(example, tmp_path, data, capsys):
    script = example("object_mask", "cv2")
    data("masks/dog_segmentation.bmp")
    script.main(tmp_path / "mask.png")
    shares = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if "union" in line]
    assert len(shares) == 2
    assert min(shares) > 0.4  # of the whole picture the objects are 0.47 and 0.20
