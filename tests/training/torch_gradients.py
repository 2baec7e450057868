"""The gradient of a torch classifier under a Relu policy, in float32 and in float64, by PyTorch and its hooks alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["torch_gradients"]


def _guided(layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
    return layer.register_full_backward_pre_hook(lambda layer, dy: (dy[0].clamp(min=0),))  # type: ignore[index]


def _deconvnet(layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
    return layer.register_full_backward_hook(lambda layer, dx, dy: (dy[0].clamp(min=0),))  # type: ignore[index]


HOOKS: dict[str, Callable[[nn.Module], torch.utils.hooks.RemovableHandle]] = {
    "guided": _guided,
    "deconvnet": _deconvnet,
}


def torch_gradients(
    module: nn.Module, x: np.ndarray, targets: Sequence[int], relu: str
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of each picture's target score in float32 and in float64."""
    double = copy.deepcopy(module).double()
    return _gradient(module, torch.from_numpy(x), targets, relu), _gradient(
        double, torch.from_numpy(x).double(), targets, relu
    )


def _gradient(module: nn.Module, x: Tensor, targets: Sequence[int], relu: str) -> np.ndarray:
    layers = [layer for layer in module.modules() if isinstance(layer, nn.ReLU | nn.ReLU6)]
    hooks = [HOOKS[relu](layer) for layer in layers if relu in HOOKS]
    try:
        given = x.clone().requires_grad_(True)
        scores = module(given)
        (found,) = torch.autograd.grad(scores[range(len(targets)), list(targets)].sum(), given)
    finally:
        for hook in hooks:
            hook.remove()
    return found.numpy()
