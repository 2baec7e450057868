"""Against PyTorch and Captum on the same weights.

The truth is the peer in float64. The bound on the relative L2 error is 1e-5 or, where that is larger, three times the
error of the peer's own float32: there, Relu kinks or differences of large numbers dominate. Which of the two applied
stands in the message of each check, and in the table that ends the run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnxray
import pytest
import torch
from late import Late
from measures import distance
from nets import Net, net
from torch import Tensor, nn

attr = Late("captum.attr")
TOLERANCE = 1e-5
EVERY_DAY, SMALL = ["cnn"], ["cnn", "resnet", "vgg", "vit"]
LARGE = ["resnet50", "vgg16", "mobilenet", "vit-b16"]
TARGET = [3, 7]


def small(*everyday: str) -> list[Any]:
    """The small nets as parameters of a test: every day the CNN and those named here, by CI all of them."""
    return [name if name in (*EVERY_DAY, *everyday) else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]


Peer = Callable[[nn.Module, Tensor], Tensor]
Note = Callable[[str], None]


@cache
def explainer(name: str, method: str, **options: Any) -> onnxray.Explainer:
    return onnxray.Explainer(net(name).proto, method, **options)


def forget_explainers() -> None:
    """Frees the explainers made so far, whose sessions hold the nets' weights."""
    explainer.cache_clear()


def both(peer: Peer, one: Net, x: np.ndarray) -> tuple[np.ndarray, float]:
    """A peer's result in float64, and how far its float32 is from that."""
    truth = peer(one.double, torch.from_numpy(x).double()).detach().numpy()
    return truth, distance(peer(one.module, torch.from_numpy(x)).detach().numpy(), truth)


def check(values: Any, peer: Peer, one: Net, x: np.ndarray, measured: Note) -> None:
    truth, noise = both(peer, one, x)
    assert values.shape == truth.shape
    error = distance(values, truth)
    which = f"{TOLERANCE:g}" if 3 * noise <= TOLERANCE else f"3 x float32 noise {noise:.1e}"
    measured(f"relative L2 {error:.1e} (bound: {which})")
    assert error <= max(TOLERANCE, 3 * noise), f"relative L2 error {error:.2e}, bound {which}"


def check_each(values: Any, peer: Peer, one: Net, x: np.ndarray, measured: Note) -> None:
    """``check`` picture by picture for large nets: kinks, which processors round to other sides, may spoil some."""
    truth = peer(one.double, torch.from_numpy(x).double()).detach().numpy()
    single = peer(one.module, torch.from_numpy(x)).detach().numpy()
    noise, errors = ([distance(a, b) for a, b in zip(found, truth, strict=True)] for found in (single, values))
    bound = max(TOLERANCE, 3 * float(np.median(noise)))
    measured(f"relative L2 {', '.join(f'{error:.1e}' for error in errors)} (bound of the smallest: {bound:.1e})")
    assert min(errors) <= bound
    assert max(errors) <= max(KINKED, 3 * max(noise))


KINKED = 3e-2  # of the map: what a Relu or a tied maximum on its other side changed; 1.1e-2 was seen


def check_a_pair(found: Callable[[np.ndarray], Any], peer: Peer, one: Net, measured: Note) -> None:
    """``check`` for methods of many points, on that of three pairs of pictures that no kink spoils.

    Of millions of Relus and maxima some lie within rounding of a kink, others on every processor, and most near a flat
    baseline, where all elements of a window are nearly equal. A wrong formula is wrong for all pictures.
    """
    pairs = [one.pictures(2, seed) for seed in range(3)]
    truths = [both(peer, one, x) for x in pairs]
    errors = [distance(found(x), truth) for x, (truth, _) in zip(pairs, truths, strict=True)]
    bound = max(TOLERANCE, 3 * float(np.median([noise for _, noise in truths])))
    measured(f"relative L2 {', '.join(f'{error:.1e}' for error in errors)} (bound of the smallest: {bound:.1e})")
    assert min(errors) <= bound
    assert max(errors) <= KINKED


GRADIENTS = {
    "saliency": "Saliency",
    "input-x-gradient": "InputXGradient",
    "guided-backprop": "GuidedBackprop",
    "deconvnet": "Deconvolution",
}


def gradient_peer(method: str, target: Any) -> Peer:
    signed = {"abs": False} if method == "saliency" else {}
    return lambda module, x: getattr(attr, GRADIENTS[method])(module).attribute(x, target=target, **signed)
