"""Both builders on the usual classifiers: plain, guided and deconvnet; lowered, and raw in the library itself.

The bound on the relative L2 difference is 1e-5: both run in float32, on the same forward values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import onnxray
import pytest
import torch
from captum import attr
from nets import ViT, export, net
from onnxray.gradient import differentiate
from torch import nn
from training_tools import distance, fixed, gradient, model, numbers, with_weights

TOLERANCE = 1e-5
EVERY_DAY = ["cnn", "resnet", "vgg", "vit", "convnext", "mobilenet-v3", "densenet", "efficientnet"]
LARGE = ["resnet50", "vgg16", "mobilenet", "vit-b16", "deit-tiny"]
POLICIES = ["exact", "guided", "deconvnet"]
RUNTIMES = ["onnxruntime", "training"]

Note = Callable[[str], None]


class Logits(nn.Module):
    """An image classifier of transformers as a function of pictures."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(pixel_values=x).logits


class Dense(nn.Module):
    """A layer of DenseNet: BatchNorm before the convolution, where no exporter can fold it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.layer(x)], 1)


class Gated(nn.Module):
    """x f(g(x)), squeeze and excite."""

    def __init__(self, width: int, gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), gate
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def convnext() -> nn.Module:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 2, 1], num_labels=10)  # pyright: ignore
    return Logits(ConvNextForImageClassification(config))


def densenet() -> nn.Module:
    """Huang et al., 2016, arXiv:1608.06993, in small."""
    block = [Dense(16 + 8 * k, 8) for k in range(3)]
    head = [nn.BatchNorm2d(40), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(40, 20, 1), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.MaxPool2d(3, 2, 1), *block, *head, nn.Flatten(), nn.Linear(20, 10)
    )


def mobile(activation: Callable[[], nn.Module], gate: Callable[[], nn.Module]) -> nn.Module:
    """The blocks of MobileNetV3 (arXiv:1905.02244) and EfficientNet (arXiv:1905.11946)."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), activation()]
    for _ in range(3):
        layers += [nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), activation(), Gated(16, gate())]
        layers += [nn.Conv2d(16, 16, 1), nn.BatchNorm2d(16)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


OTHERS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "convnext": (convnext, 64),
    "densenet": (densenet, 32),
    "mobilenet-v3": (lambda: mobile(nn.Hardswish, nn.Hardsigmoid), 32),
    "efficientnet": (lambda: mobile(nn.SiLU, nn.Sigmoid), 32),
    "deit-tiny": (lambda: ViT(224, 16, 192, 12, 3), 224),
}


@cache
def network(name: str) -> tuple[onnx.ModelProto, int]:
    """A network as ONNX with an open batch, and the size of its pictures."""
    if name not in OTHERS:
        return net(name).proto, net(name).size
    make, size = OTHERS[name]
    torch.manual_seed(0)
    module = make().eval().requires_grad_(False)
    return export(module, torch.zeros(2, 3, size, size)), size


@cache
def portable(name: str, relu: str) -> tuple[np.ndarray, tuple[object, ...]]:
    return compute(name, relu, "portable", "onnxruntime")


def compute(name: str, relu: str, builder: str, runtime: str) -> tuple[np.ndarray, tuple[object, ...]]:
    made, size = network(name)
    feeds = {"x": numbers(2, 3, size, size)}
    made = fixed(made, feeds) if runtime == "training" else made
    graph = differentiate(made, ["y"], ["x"], relu=relu, builder=builder, runtime=runtime)
    weights = np.eye(10, dtype=np.float32)[[3, 7]]
    return gradient(graph, feeds, {"y": weights})["x"], graph.activations


def check(name: str, relu: str, runtime: str, measured: Note) -> None:
    (found, told), (truth, known) = compute(name, relu, "ort-training", runtime), portable(name, relu)
    error = distance(found, truth)
    measured(f"relative L2 difference {error:.1e} (bound {TOLERANCE:g})")
    assert np.linalg.norm(truth) > 0
    assert error <= TOLERANCE
    assert told == known


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("relu", POLICIES)
@pytest.mark.parametrize("name", EVERY_DAY)
def test_the_builders_agree(name: str, relu: str, runtime: str, measured: Note) -> None:
    check(name, relu, runtime, measured)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("relu", POLICIES)
@pytest.mark.parametrize("name", LARGE)
def test_the_builders_agree_on_large_networks(name: str, relu: str, runtime: str, measured: Note) -> None:
    check(name, relu, runtime, measured)


KIN = [
    "Relu",
    "LeakyRelu<alpha=0.2>",
    "Elu",
    "Selu",
    "Celu",
    "ThresholdedRelu",
    "Gelu",
    "Sigmoid",
    "HardSwish",
    "Softplus",
]


@pytest.mark.parametrize("relu", POLICIES)
@pytest.mark.parametrize(
    "text", [*(f"{op}(c)" for op in KIN), "PRelu(c, s)", "Clip(c, zero, six)", "Clip(c, low, six)"]
)
def test_every_activation_obeys_the_policy(text: str, relu: str) -> None:
    body = f"{{ c = Conv(x, w) a = {text} b = Mul(a, c) d = Add(a, b) y = Conv(d, v) }}"
    made = with_weights(
        model(body, "float[2,3,8,8] x", "float[2,2,4,4] y", 20), w=(4, 3, 3, 3), v=(2, 4, 3, 3), s=(4, 1, 1)
    )
    bounds = {"zero": 0.0, "six": 1.5, "low": -0.5}
    made.graph.initializer.extend(onnx.numpy_helper.from_array(np.float32(b), n) for n, b in bounds.items())
    graphs = [differentiate(made, relu=relu, builder=builder) for builder in ("portable", "ort-training")]
    feeds, weights = {"x": numbers(2, 3, 8, 8)}, {"y": numbers(2, 2, 4, 4, seed=1)}
    truth, found = (gradient(graph, feeds, weights)["x"] for graph in graphs)
    assert distance(found, truth) <= TOLERANCE
    assert graphs[0].activations == graphs[1].activations
    assert len(graphs[0].activations) == 1


# Against Captum ----------------------------------------------------------------------------------------------

PEERS = {"guided-backprop": attr.GuidedBackprop, "deconvnet": attr.Deconvolution}


def against_captum(name: str, method: str, runtime: str, measured: Note) -> None:
    """On pictures that put no unit on a kink: where one is, Captum's float32 is 4e-4 from its own float64."""
    one, target = net(name), [3, 7]
    x = one.pictures(2, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = PEERS[method](one.module).attribute(torch.from_numpy(x), target=target).detach().numpy()
    found = onnxray.explain(one.proto, x, method, target=target, builder="ort-training", runtime=runtime)
    error = float(np.abs(np.asarray(found.values) - truth).max() / np.abs(truth).max())
    measured(f"largest error {error:.1e} of the largest attribution")
    assert error <= 1e-5


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("method", PEERS)
def test_against_captum(method: str, runtime: str, measured: Note) -> None:
    against_captum("vgg", method, runtime, measured)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("method", PEERS)
def test_against_captum_on_vgg16(method: str, runtime: str, measured: Note) -> None:
    against_captum("vgg16", method, runtime, measured)


# The whole way through -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "smoothgrad", "grad-cam", "input-x-gradient"])
def test_every_gradient_method_takes_either_builder(method: str, runtime: str) -> None:
    one = net("cnn")
    x = one.pictures(3)
    options = {"steps": 4} if method == "integrated-gradients" else {"samples": 3} if method == "smoothgrad" else {}
    ours = onnxray.explain(one.proto, x, method, target=3, **options)
    theirs = onnxray.explain(one.proto, x, method, target=3, builder="ort-training", runtime=runtime, **options)
    assert distance(np.asarray(theirs.values), np.asarray(ours.values)) <= TOLERANCE
    assert np.abs(theirs.score - ours.score).max() <= 1e-4


def test_a_saved_explainer_holds_standard_operators(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "explainer.onnx"
    onnxray.Explainer(net("cnn").proto, "guided-backprop", builder="ort-training").save(file)
    saved = onnx.load(file)
    onnx.checker.check_model(saved, full_check=True)
    assert {entry.domain for entry in saved.opset_import} <= {""}
