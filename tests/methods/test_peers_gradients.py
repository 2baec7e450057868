"""Gradients, and SmoothGrad's mean of them, against Captum on the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from late import late
from nets import net
from peers import GRADIENTS, LARGE, TARGET, Note, check, check_each, explainer, gradient_peer, small
from torch import Tensor, nn

late("captum")  # imported when a test first uses it

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Captum warns of every hook that it sets


@pytest.mark.parametrize("method", GRADIENTS)
@pytest.mark.parametrize("name", small())
def test_gradients(name: str, method: str, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    a = explainer(name, method)(x, target=TARGET)
    check(a.values, gradient_peer(method, TARGET), one, x, measured)


PICTURES = {"vit-b16": 1, "mobilenet": 4}  # a transformer has no kinks, MobileNetV2 the most


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
    x = one.pictures(PICTURES.get(name, 2))
    a = onnxray.explain(one.unfolded, x, method, target=3)
    check_each(a.values, gradient_peer(method, 3), one, x, measured)


@pytest.mark.parametrize("target", [5, [5, 0], "top1"], ids=str)
@pytest.mark.parametrize("name", small())
def test_targets(name: str, target: Any, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2, seed=1)
    scores = one.double(torch.from_numpy(x).double())
    wanted = {"top1": scores.argmax(1).tolist(), "5": [5, 5]}.get(str(target), target)
    a = explainer(name, "saliency")(x, target=target)
    check(a.values, gradient_peer("saliency", wanted), one, x, measured)
    assert a.target.tolist() == wanted
    np.testing.assert_allclose(a.score, scores[range(2), wanted], rtol=1e-5, atol=1e-5 * float(scores.abs().max()))


@pytest.mark.parametrize("name", small())
def test_with_batch_normalisation_left_in(name: str, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    a = onnxray.explain(one.unfolded, x, "guided-backprop", target=TARGET)
    check(a.values, gradient_peer("guided-backprop", TARGET), one, x, measured)


@pytest.mark.parametrize("name", small())
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
