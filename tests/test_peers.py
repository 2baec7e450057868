"""Against PyTorch and Captum on the same weights.

The truth is the peer in float64. The bound on the relative L2 error is 1e-5 or, where that is larger, three times the
error of the peer's own float32: there, Relu kinks or differences of large numbers dominate. Which of the two applied
stands in the message of each check, and in the table that ends the run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import onnxray
import pytest
import torch
from captum import attr
from nets import Net, net
from torch import Tensor, nn

TOLERANCE = 1e-5
EVERY_DAY = ["resnet", "vgg", "vit"]
LARGE = ["resnet50", "vgg16", "mobilenet", "vit-b16"]
TARGET = [3, 7]

Peer = Callable[[nn.Module, Tensor], Tensor]
Note = Callable[[str], None]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Captum warns of every hook that it sets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def explainer(name: str, method: str, **options: Any) -> onnxray.Explainer:
    return onnxray.Explainer(net(name).proto, method, threads=2, **options)


def distance(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def both(peer: Peer, one: Net, x: np.ndarray) -> tuple[np.ndarray, float]:
    """What a peer says in float64, and how far its float32 is from that."""
    truth = peer(one.double, torch.from_numpy(x).double()).detach().numpy()
    return truth, distance(peer(one.module, torch.from_numpy(x)).detach().numpy(), truth)


def check(values: Any, peer: Peer, one: Net, x: np.ndarray, measured: Note) -> None:
    truth, noise = both(peer, one, x)
    assert values.shape == truth.shape
    error = distance(values, truth)
    which = f"{TOLERANCE:g}" if 3 * noise <= TOLERANCE else f"3 x float32 noise {noise:.1e}"
    measured(f"relative L2 {error:.1e} (bound: {which})")
    assert error <= max(TOLERANCE, 3 * noise), f"relative L2 error {error:.2e}, bound {which}"


def grad_cam_layer(one: Net) -> nn.Module:
    """The module whose output is that of the last Conv in the ONNX file: behind it BatchNorm is folded in."""
    convolutions = (nn.Conv2d, nn.BatchNorm2d)
    return [layer for layer in one.module.modules() if isinstance(layer, convolutions)][-1]


GRADIENTS: dict[str, Callable[[nn.Module], Any]] = {
    "saliency": attr.Saliency,
    "input-x-gradient": attr.InputXGradient,
    "guided-backprop": attr.GuidedBackprop,
    "deconvnet": attr.Deconvolution,
}


def gradient_peer(method: str, target: Any) -> Peer:
    signed = {"abs": False} if method == "saliency" else {}
    return lambda module, x: GRADIENTS[method](module).attribute(x, target=target, **signed)


@pytest.mark.parametrize("method", GRADIENTS)
@pytest.mark.parametrize("name", EVERY_DAY)
def test_gradients(name: str, method: str, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    a = explainer(name, method)(x, target=TARGET)
    check(a.values, gradient_peer(method, TARGET), one, x, measured)


@pytest.mark.slow
@pytest.mark.parametrize("method", GRADIENTS)
@pytest.mark.parametrize("name", LARGE)
def test_gradients_of_large_nets(name: str, method: str, measured: Note) -> None:
    """Kinks dominate here, so both sides compute the same: several pictures, BatchNormalization not folded into Conv.

    Captum overrides nn.ReLU alone, onnxray ReLU6 too, so MobileNetV2 is compared where they agree.
    """
    if name == "mobilenet" and method in ("guided-backprop", "deconvnet"):
        pytest.skip("Captum leaves ReLU6 alone")
    one = net(name)
    x = one.pictures(1 if name == "vit-b16" else 4)
    a = onnxray.explain(one.unfolded, x, method, target=3)
    check(a.values, gradient_peer(method, 3), one, x, measured)


@pytest.mark.parametrize("target", [5, [5, 0], "top1"], ids=str)
@pytest.mark.parametrize("name", EVERY_DAY)
def test_targets(name: str, target: Any, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2, seed=1)
    scores = one.double(torch.from_numpy(x).double())
    wanted = {"top1": scores.argmax(1).tolist(), "5": [5, 5]}.get(str(target), target)
    a = explainer(name, "saliency")(x, target=target)
    check(a.values, gradient_peer("saliency", wanted), one, x, measured)
    assert a.target.tolist() == wanted
    np.testing.assert_allclose(a.score, scores[range(2), wanted], rtol=1e-5, atol=1e-5 * float(scores.abs().max()))


@pytest.mark.parametrize("name", EVERY_DAY)
def test_with_batch_normalisation_left_in(name: str, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    a = onnxray.explain(one.unfolded, x, "guided-backprop", target=TARGET)
    check(a.values, gradient_peer("guided-backprop", TARGET), one, x, measured)


# Integrated gradients --------------------------------------------------------------------------------------


Baseline = float | np.ndarray  # a flat one ties the elements of max pools, an array does not


def captum_integrated(module: nn.Module, x: Tensor, steps: int, baseline: Baseline) -> tuple[Tensor, Tensor]:
    start = baseline if isinstance(baseline, float) else torch.from_numpy(baseline)[None].to(x.dtype)
    method = attr.IntegratedGradients(module)
    values, delta = method.attribute(
        x, start, TARGET, n_steps=steps, method="gausslegendre", return_convergence_delta=True
    )
    return values, delta


def inclusive_integrated(module: nn.Module, x: Tensor, steps: int, baseline: np.ndarray) -> tuple[Tensor, Tensor]:
    """Equal weights on a grid with both ends, by a loop."""
    start, total = torch.from_numpy(baseline).to(x.dtype), torch.zeros_like(x)
    for alpha in np.linspace(0, 1, steps):
        total += gradient_peer("saliency", TARGET)(module, start + alpha * (x - start)).detach()
    values = (x - start) * total / steps
    return values, values.sum((1, 2, 3)) - way(module, x, baseline)


def way(module: nn.Module, x: Tensor, baseline: Baseline = 0.0) -> Tensor:
    """f(x) - f(baseline)."""
    start = torch.zeros_like(x) + torch.as_tensor(baseline).to(x.dtype)
    return (module(x) - module(start))[range(len(x)), TARGET]


def check_delta(delta: Any, peer: Peer, one: Net, x: np.ndarray, baseline: Baseline, measured: Note) -> None:
    """1e-4 of |f(x) - f(baseline)|, or three times what the peer's own float32 misses its float64 by."""
    doubled, single = torch.from_numpy(x).double(), torch.from_numpy(x)
    truth, scale = peer(one.double, doubled), way(one.double, doubled, baseline).abs()
    noise = float(((peer(one.module, single) - truth).abs() / scale).max())
    error = float(((torch.from_numpy(delta) - truth).abs() / scale).max())
    which = "1e-4" if 3 * noise <= 1e-4 else f"3 x float32 noise {noise:.1e}"
    measured(f"delta differs by {error:.1e} of the way (bound: {which})")
    assert error <= max(1e-4, 3 * noise), f"delta differs by {error:.2e} of the way, bound {which}"


@pytest.mark.parametrize("start", ["zero", "array"])
@pytest.mark.parametrize("name", EVERY_DAY)
def test_integrated_gradients(name: str, start: str, measured: Note) -> None:
    one, steps = net(name), 20
    x = one.pictures(2)
    baseline = 0.0 if start == "zero" else one.pictures(1, seed=7)[0]
    a = onnxray.explain(one.proto, x, "integrated-gradients", target=TARGET, steps=steps, baseline=baseline)
    check(a.values, lambda module, t: captum_integrated(module, t, steps, baseline)[0], one, x, measured)
    check_delta(a.delta, lambda module, t: captum_integrated(module, t, steps, baseline)[1], one, x, baseline, measured)


@pytest.mark.parametrize("name", EVERY_DAY)
def test_integrated_gradients_inclusive(name: str, measured: Note) -> None:
    one, steps = net(name), 12
    x, start = one.pictures(2), one.pictures(1, seed=8)[0]
    a = onnxray.explain(
        one.proto, x, "integrated-gradients", target=TARGET, steps=steps, rule="inclusive", baseline=start
    )
    check(a.values, lambda module, t: inclusive_integrated(module, t, steps, start)[0], one, x, measured)
    check_delta(a.delta, lambda module, t: inclusive_integrated(module, t, steps, start)[1], one, x, start, measured)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "vit-b16"])
def test_integrated_gradients_of_large_nets(name: str, measured: Note) -> None:
    one, steps = net(name), 4
    x = one.pictures(2)
    a = onnxray.explain(one.unfolded, x, "integrated-gradients", target=TARGET, steps=steps)
    check(a.values, lambda module, t: captum_integrated(module, t, steps, 0.0)[0], one, x, measured)


@pytest.mark.parametrize("name", EVERY_DAY)
def test_delta_falls_with_steps(name: str, measured: Note) -> None:
    """Averaged over examples: on kinks the gap of a single path goes up and down."""
    one = net(name)
    x = one.pictures(8, seed=3)
    gaps = [_gap(name, x, steps) for steps in (2, 8, 50)]
    measured("mean |delta| at 2, 8, 50 steps: " + ", ".join(f"{gap:.1e}" for gap in gaps))
    assert gaps[0] > gaps[1] > gaps[2]


def _gap(name: str, x: np.ndarray, steps: int) -> float:
    delta = explainer(name, "integrated-gradients", steps=steps)(x, target=3).delta
    assert delta is not None
    return float(np.abs(delta).mean())


def test_delta_is_small_without_kinks(measured: Note) -> None:
    one = net("vit")
    x = one.pictures(2)
    a = explainer("vit", "integrated-gradients", steps=50)(x, target=TARGET)
    assert a.delta is not None
    share = np.abs(a.delta) / way(one.double, torch.from_numpy(x).double()).abs().numpy()
    measured(f"|delta| / |f(x) - f(baseline)|: {share.max():.1e}")
    assert share.max() < 1e-3


# Grad-CAM, occlusion, SmoothGrad ---------------------------------------------------------------------------


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("name", EVERY_DAY)
def test_grad_cam(name: str, relu: bool, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    a = explainer(name, "grad-cam", relu=relu)(x, target=TARGET)
    check(a.values, cam_peer(one, grad_cam_layer(one), relu), one, x, measured)


@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_of_the_bare_convolution(relu: bool, measured: Note) -> None:
    one = net("resnet")
    x = one.pictures(2)
    last = [layer for layer in one.module.modules() if isinstance(layer, nn.Conv2d)][-1]
    a = onnxray.explain(one.unfolded, x, "grad-cam", target=TARGET, relu=relu)
    check(a.values, cam_peer(one, last, relu), one, x, measured)


def cam_peer(one: Net, layer: nn.Module, relu: bool) -> Peer:
    path = next(name for name, module in one.module.named_modules() if module is layer)

    def peer(module: nn.Module, x: Tensor) -> Tensor:
        cam = attr.LayerGradCam(module, module.get_submodule(path))
        return cam.attribute(x.requires_grad_(), TARGET, relu_attributions=relu)[:, 0]  # type: ignore[union-attr]

    return peer


@pytest.mark.parametrize("overlap", ["mean", "sum"])
@pytest.mark.parametrize("name", EVERY_DAY)
def test_occlusion(name: str, overlap: str, measured: Note) -> None:
    """Windows that overlap and reach over the end; Captum takes the mean, the sum is a loop here."""
    one = net(name)
    x = one.pictures(2)
    window, stride = (3, one.size // 4, one.size // 5), (3, one.size // 6, one.size // 5)
    a = explainer(name, "occlusion", window=window, stride=stride, baseline=0.5, overlap=overlap)(x, target=TARGET)

    def mean(module: nn.Module, t: Tensor) -> Tensor:
        return attr.Occlusion(module).attribute(t, window, stride, 0.5, TARGET, perturbations_per_eval=8)

    def total(module: nn.Module, t: Tensor) -> Tensor:
        values = torch.zeros_like(t)
        for place in windows(one.size, window[1:], stride[1:]):
            hidden = t.clone()
            hidden[place] = 0.5
            fall = (module(t) - module(hidden))[range(2), TARGET]
            values[place] += fall[:, None, None, None]
        return values

    check(a.values, mean if overlap == "mean" else total, one, x, measured)


def windows(size: int, width: tuple[int, ...], stride: tuple[int, ...]) -> list[tuple[slice, ...]]:
    starts = [range(0, size - w + s, s) for w, s in zip(width, stride, strict=True)]
    every = slice(None)
    return [(every, every, slice(i, i + width[0]), slice(j, j + width[1])) for i in starts[0] for j in starts[1]]


@pytest.mark.parametrize("name", EVERY_DAY)
def test_smoothgrad(name: str, measured: Note) -> None:
    one, samples, noise = net(name), 6, 0.2
    x = one.pictures(2)
    a = explainer(name, "smoothgrad", samples=samples, noise=noise, seed=4)(x, target=TARGET)
    draws = np.random.default_rng([4, *b"x"]).standard_normal((samples, *x.shape[1:])).astype(np.float32)

    def peer(module: nn.Module, t: Tensor) -> Tensor:
        spread = noise * (t.amax((1, 2, 3), keepdim=True) - t.amin((1, 2, 3), keepdim=True))
        parts = [
            gradient_peer("saliency", TARGET)(module, t + spread * torch.from_numpy(draw).to(t.dtype)).detach()
            for draw in draws
        ]
        return torch.stack(parts).mean(0)

    check(a.values, peer, one, x, measured)
