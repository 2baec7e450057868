"""Both builders on the usual classifiers, in full width and depth: plain, guided, deconvnet.

Three comparisons with the portable builder, each a relative L2 difference:

* lowered: both graphs in onnxruntime; at most 1e-5;
* raw: the library's own operators against the portable graph, both in onnxruntime-training; at most 1e-5;
* across: the raw graph in onnxruntime-training against the portable one in onnxruntime 1.31. Their forward passes round
  differently, and where that turns a Relu the gradients part: at most 1e-5 or the float32 noise of the model.

The noise is how far float32 is from PyTorch's float64 under the same policy: PyTorch's float32 or onnxruntime's,
whichever is the farther. The table that ends the run has all the numbers; docs/training.md has a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from onnxray.autodiff.backward import Activation
from onnxray.backends import BACKENDS
from onnxray.gradient_graph import differentiate
from onnxray.training.patch import POLICIES as PATCHED
from training_tools import distance, fixed, gradient, model, numbers, with_weights

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from nets import NETS, Net, forget, net
from torch_gradients import torch_gradients

TOLERANCE = 1e-5
SMALL = ["cnn", "resnet", "vgg", "densenet", "vit", "mobilenet-v3"]
EVERY_DAY = ["cnn-exact", "cnn-guided", "cnn-deconvnet"]
LARGE = [
    "resnet18",
    "resnet50",
    "vgg16",
    "mobilenet",
    "densenet121",
    "efficientnet-b0",
    "convnext-tiny",
    "deit-tiny",
    "vit-b16",
]
WITHOUT_RELU = ["efficientnet-b0", "convnext-tiny", "deit-tiny", "vit-b16"]
POLICIES = ["exact", *PATCHED]
RUNTIMES = [runtime for builder, runtime in BACKENDS if builder == "ort-training"]
TARGETS = (3, 7)  # of two pictures; of a large net the first alone

Note = Callable[[str], None]


@pytest.fixture(scope="module")
def one(request: pytest.FixtureRequest) -> Iterator[Net]:
    """A network, freed when its tests have run."""
    yield net(request.param)
    by_torch.cache_clear()
    forget()


@cache
def by_torch(name: str, relu: str) -> tuple[np.ndarray, np.ndarray]:
    """What PyTorch says in float32 and in float64."""
    made = net(name)
    x = pictures(made)
    return torch_gradients(made.module, x, TARGETS[: len(x)], relu)


def pictures(one: Net) -> np.ndarray:
    return one.pictures(1 if one.name in LARGE else 2)


def compute(one: Net, relu: str, *libraries: bool, **options: str) -> tuple[tuple[Activation, ...], list[np.ndarray]]:
    """The gradients of the pictures by one graph in the runtimes named: stock onnxruntime, or the library."""
    x = pictures(one)
    seed = np.eye(10, dtype=np.float32)[list(TARGETS[: len(x)])]
    graph = differentiate(fixed(one.proto, {"x": x}), ["y"], ["x"], relu=relu, **options)
    return graph.activations, [gradient(graph, {"x": x}, {"y": seed}, library)["x"] for library in libraries]


def check_unchanged(one: Net, relu: str) -> None:
    """Under any policy a net without Relu has the graphs of ``exact``, whose gradients are compared."""
    made = fixed(one.proto, {"x": pictures(one)})
    for options in ({}, {"builder": "ort-training"}, {"builder": "ort-training", "runtime": "training"}):
        under, exact = (differentiate(made, ["y"], ["x"], relu=policy, **options) for policy in (relu, "exact"))
        assert under.activations == exact.activations
        assert under.model == exact.model


def check(one: Net, relu: str, measured: Note) -> None:
    known, (stock, library) = compute(one, relu, False, True)
    told, (theirs,) = compute(one, relu, False, builder="ort-training")
    raw, (found,) = compute(one, relu, True, builder="ort-training", runtime="training")
    single, double = by_torch(one.name, relu)
    noise = max(distance(single, double), distance(stock, double))
    lowered, kernels, across = distance(theirs, stock), distance(found, library), distance(found, stock)
    measured(f"lowered {lowered:.1e}, raw {kernels:.1e}, across {across:.1e}, float32 noise {noise:.1e}")
    assert np.linalg.norm(stock) > 0
    assert distance(stock, double) <= 2e-2  # a wrong portable builder would pass for noise
    assert max(lowered, kernels) <= TOLERANCE
    assert across <= max(TOLERANCE, 2 * noise)  # each of the two is that far from float64
    assert known == told == raw


def pair(name: str, relu: str) -> Any:
    known = f"{name}-{relu}"
    return pytest.param(name, relu, id=known, marks=() if known in EVERY_DAY else pytest.mark.slow)


@pytest.mark.parametrize(("one", "relu"), [pair(name, relu) for name in SMALL for relu in POLICIES], indirect=["one"])
def test_the_builders_agree(one: Net, relu: str, measured: Note) -> None:
    check(one, relu, measured)


@pytest.mark.slow
@pytest.mark.parametrize("relu", POLICIES)
@pytest.mark.parametrize("one", LARGE, indirect=True)
def test_the_builders_agree_on_large_networks(one: Net, relu: str, measured: Note) -> None:
    if relu != "exact" and one.name in WITHOUT_RELU:
        check_unchanged(one, relu)
    else:
        check(one, relu, measured)


# What the papers' networks weigh with 1000 classes, by torchvision (DeiT: its authors'), and the width of each head.
ANY_SIZE = ("densenet121", "efficientnet-b0", "convnext-tiny")  # pooled over all places
PUBLISHED = {
    "resnet18": (11_689_512, 512),
    "resnet50": (25_557_032, 2048),
    "vgg16": (138_357_544, 4096),
    "mobilenet": (3_504_872, 1280),
    "mobilenet-v3": (5_483_032, 1280),
    "densenet121": (7_978_856, 1024),
    "efficientnet-b0": (5_288_548, 1280),
    "convnext-tiny": (28_589_128, 768),
    "deit-tiny": (5_910_800, 2 * 192 + 1),
    "vit-b16": (86_567_656, 768),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_networks_are_those_of_the_papers(name: str) -> None:
    (published, width), (make, size) = PUBLISHED[name], NETS[name]
    with torch.device("meta"):  # sizes without weights
        module = make()
    assert name in {*SMALL, *LARGE}
    assert size == 224 or name in ANY_SIZE
    assert sum(weight.numel() for weight in module.parameters()) == published - 990 * (width + 1)


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


OTHERS = ("integrated-gradients", "smoothgrad", "grad-cam", "input-x-gradient")

# The whole way through -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "method",
    ["saliency", *(pytest.param(m, marks=pytest.mark.slow) for m in onnxray.METHODS if m in OTHERS)],
)
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


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_jacobian_of_an_open_batch(runtime: str) -> None:
    """The library's AveragePool needs the batch size, which the inputs tell."""
    body = "{ p = AveragePool<kernel_shape=[2,2]>(x) r = Relu(p) g = GlobalAveragePool(r) y = Flatten(g) }"
    made, x = model(body, "float[N,3,4,4] x", "float[N,3] y"), numbers(2, 3, 4, 4)
    truth = onnxray.jacobian(made, x)
    assert np.count_nonzero(truth)
    assert distance(onnxray.jacobian(made, x, builder="ort-training", runtime=runtime), truth) <= TOLERANCE
