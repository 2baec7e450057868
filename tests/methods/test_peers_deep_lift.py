"""DeepLIFT against Captum on the same weights, as exports leave the nets: unfolded, with zeros made at the run."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from late import late
from measures import distance
from nets import net

captum = late("captum")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Captum warns of every hook that it sets
@pytest.mark.parametrize("name", ["cnn", pytest.param("densenet", marks=pytest.mark.slow)])
def test_captum_says_the_same(name: str) -> None:
    from captum.attr import DeepLift

    one = net(name)
    x = one.pictures(2)
    t = torch.from_numpy(x).double()
    expected = DeepLift(one.double).attribute(t, torch.zeros_like(t), target=3).detach().numpy()
    for proto in (one.unfolded, one.proto):
        assert distance(onnxray.explain(proto, x, "deep-lift", target=3).values, expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "vgg", "mobilenet", "vit"])
def test_unfolded_nets_are_explained_to_the_last_difference(name: str) -> None:
    """Captum shares a maximum in another way, and has no rule for ReLU6, LayerNormalization and Softmax."""
    one = net(name)
    x = one.pictures(2)
    found, folded = (onnxray.explain(proto, x, "deep-lift", target=3) for proto in (one.unfolded, one.proto))
    assert found.delta is not None
    assert np.abs(found.delta).max() < 1e-4 * np.abs(found.score).max()
    assert distance(found.values, folded.values) < 2e-3  # kinks: BatchNormalization is folded into one of them
