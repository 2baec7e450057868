"""Captum's maps: with PyTorch and NumPy alone, as a process of its own is to be measured with nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from captum import attr
from torch import Tensor, nn

from .sampled_peers import SAMPLED

__all__ = ["CAPTUM", "captum_attribute"]


def captum_attribute(method: str, module: nn.Module, layer: nn.Module | None, x: Tensor, provider: str) -> Tensor:
    """Captum's map of class 0; methods of many points run as many rows at once as are quickest."""
    rows = 8 if provider == "cpu" else 64
    return CAPTUM[method](module, layer, x.requires_grad_(), rows)


CAPTUM: Mapping[str, Callable[[nn.Module, Any, Tensor, int], Any]] = {
    "saliency": lambda module, _, x, rows: attr.Saliency(module).attribute(x, target=0, abs=False),
    "input-x-gradient": lambda module, _, x, rows: attr.InputXGradient(module).attribute(x, target=0),
    "guided-backprop": lambda module, _, x, rows: attr.GuidedBackprop(module).attribute(x, target=0),
    "deconvnet": lambda module, _, x, rows: attr.Deconvolution(module).attribute(x, target=0),
    "deep-lift": lambda module, _, x, rows: attr.DeepLift(module).attribute(x, target=0),
    "grad-cam": lambda module, layer, x, rows: attr.LayerGradCam(module, layer).attribute(
        x, target=0, relu_attributions=True
    )[:, 0],
    "guided-grad-cam": lambda module, layer, x, rows: attr.GuidedGradCam(module, layer).attribute(
        x, target=0, interpolate_mode="bilinear"
    ),
    **SAMPLED,
}
