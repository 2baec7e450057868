"""Integrated gradients and their delta against Captum, or a loop, on the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from late import Late, late
from nets import Net, net
from peers import TARGET, Note, Peer, check, check_a_pair, explainer, gradient_peer, small
from torch import Tensor, nn

late("captum")  # imported when a test first uses it
attr = Late("captum.attr")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Captum warns of every hook that it sets

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
@pytest.mark.parametrize("name", small())
def test_integrated_gradients(name: str, start: str, measured: Note) -> None:
    one, steps = net(name), 20
    x = one.pictures(2)
    baseline = 0.0 if start == "zero" else one.pictures(1, seed=7)[0]
    ex = onnxray.Explainer(one.proto, "integrated-gradients", steps=steps, baseline=baseline)
    peer = lambda module, t: captum_integrated(module, t, steps, baseline)[0]  # noqa: E731
    check_a_pair(lambda pictures: ex(pictures, target=TARGET).values, peer, one, measured)
    a = ex(x, target=TARGET)
    check_delta(a.delta, lambda module, t: captum_integrated(module, t, steps, baseline)[1], one, x, baseline, measured)


@pytest.mark.parametrize("name", small())
def test_integrated_gradients_inclusive(name: str, measured: Note) -> None:
    one, steps = net(name), 12
    x, start = one.pictures(2), one.pictures(1, seed=8)[0]
    a = onnxray.explain(
        one.proto, x, "integrated-gradients", target=TARGET, steps=steps, rule="inclusive", baseline=start
    )
    check(a.values, lambda module, t: inclusive_integrated(module, t, steps, start)[0], one, x, measured)
    check_delta(a.delta, lambda module, t: inclusive_integrated(module, t, steps, start)[1], one, x, start, measured)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [("resnet50", 4), ("vit-b16", 2)])
def test_integrated_gradients_of_large_nets(name: str, steps: int, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    a = onnxray.explain(one.unfolded, x, "integrated-gradients", target=TARGET, steps=steps)
    check(a.values, lambda module, t: captum_integrated(module, t, steps, 0.0)[0], one, x, measured)


@pytest.mark.parametrize("name", small())
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


@pytest.mark.slow
def test_delta_is_small_without_kinks(measured: Note) -> None:
    one = net("vit")
    x = one.pictures(2)
    a = explainer("vit", "integrated-gradients", steps=50)(x, target=TARGET)
    assert a.delta is not None
    share = np.abs(a.delta) / way(one.double, torch.from_numpy(x).double()).abs().numpy()
    measured(f"|delta| / |f(x) - f(baseline)|: {share.max():.1e}")
    assert share.max() < 3e-3  # of random weights, which are others in other releases of PyTorch
