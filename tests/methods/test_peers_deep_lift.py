"""DeepLIFT against its formulas and against Captum on the same weights.

Captum is given twins of the nets, with the same weights, of which its own delta in float64 is 1e-14. It hooks the
tensor that a module reads, so it is wrong where that tensor has two readers, or comes from another module with a rule:
a MaxPool behind a ReLU reads a copy. It has no rule for ReLU6, which is the difference of two ReLUs, nor for windows
that overlap: the pool in the stem of a ResNet takes means, on both sides. It has none for LayerNormalization, Gelu and
products, and leaves 0.5 over of a ViT's score of 0.6, so a ViT is compared with the formulas alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from differences_in_torch import contributions
from late import late
from measures import distance
from nets import Net, export, net
from peers import Note, check
from shared_folder import made_once
from torch import Tensor, nn

captum = late("captum")
TARGET = 3


def half_a_picture(x: Any) -> np.ndarray:
    """A baseline: of zeros, whose maps are flat, rounding alone says which element of a window is the maximum."""
    return np.random.default_rng(1).standard_normal(x.shape[1:]).astype(np.float32) / 2


def start_of(x: Tensor) -> Tensor:
    return torch.from_numpy(half_a_picture(x)).to(x).expand_as(x)


def by_captum(module: nn.Module, x: Tensor, start: Tensor) -> Tensor:
    from captum.attr import DeepLift

    found, delta = DeepLift(module).attribute(x, start, target=TARGET, return_convergence_delta=True)
    if x.dtype == torch.float64:
        assert delta.abs().max() < 1e-10  # else it is no truth
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")  # Captum warns of every hook that it sets
@pytest.mark.parametrize("name", ["cnn", pytest.param("densenet", marks=pytest.mark.slow)])
def test_captum_says_the_same(name: str) -> None:
    one = net(name)
    x = one.pictures(2)
    t = torch.from_numpy(x).double()
    expected = by_captum(one.double, t, torch.zeros_like(t)).detach().numpy()
    for proto in (one.unfolded, one.proto):
        assert distance(onnxray.explain(proto, x, "deep-lift", target=TARGET).values, expected) < 1e-5


class Capped(nn.Module):
    """ReLU6."""

    def __init__(self, _: nn.Module) -> None:
        super().__init__()
        self.low, self.top = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.low(x + 0) - self.top(x - 6)


class OfCopy(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x + 0)


def mean_pool(pool: Any) -> nn.Module:
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding)


def twin(module: nn.Module, kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> nn.Module:
    """A copy with another module in the place of each of a kind."""
    made = copy.deepcopy(module)
    for part in [*made.modules()]:
        for name, child in part.named_children():
            if isinstance(child, kind):
                setattr(part, name, make(child))
    return made


TWINS: dict[str, dict[str, Any]] = {
    "resnet": {"kind": nn.MaxPool2d, "make": mean_pool},
    "vgg-bn": {"kind": nn.MaxPool2d, "make": OfCopy},
    "mobilenet-small": {"kind": nn.ReLU6, "make": Capped},
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TWINS)
def test_captum_says_the_same_of_a_twin(name: str, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    twin_of = partial(twin, **TWINS[name])
    proto = with_mean_pool(one, twin_of) if name == "resnet" else one.unfolded
    found = onnxray.explain(proto, x, "deep-lift", target=TARGET, baseline=half_a_picture(x))
    check(found.values, lambda module, t: by_captum(twin_of(module), t, start_of(t)), one, x, measured)


def with_mean_pool(one: Net, twin_of: Callable[[nn.Module], nn.Module]) -> onnx.ModelProto:
    return made_once("resnet-mean-pool", lambda: export(twin_of(one.module), torch.from_numpy(one.pictures(2))))


def formula(module: nn.Module, x: Tensor) -> Tensor:
    start = start_of(x)
    found = contributions(module, x, start, TARGET)
    if x.dtype == torch.float64:
        rest = found.flatten(1).sum(1) - (module(x) - module(start))[:, TARGET]
        assert rest.abs().max() < 1e-10
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [*((name, "unfolded") for name in ("resnet", "vgg-bn", "mobilenet-small", "vit")), ("vit", "proto")],
)
def test_the_formulas_say_the_same(name: str, form: str, measured: Note) -> None:
    """And nothing of the difference is left over."""
    one = net(name)
    x, proto = one.pictures(2), getattr(one, form)
    start = half_a_picture(x)
    found = onnxray.explain(proto, x, "deep-lift", target=TARGET, baseline=start)
    check(found.values, formula, one, x, measured)
    change = found.score - onnxray.activations(proto, np.broadcast_to(start, x.shape), "y")["y"][:, TARGET]
    gap = np.asarray(found.values, np.float64).sum((1, 2, 3)) - change
    assert found.delta is not None
    assert max(np.abs(gap).max(), np.abs(found.delta).max()) <= 1e-4 * np.abs(change).max()
