"""The recipes of the PyTorch world, with torch.autograd alone: gradients, Relu variants, path, Grad-CAM, occlusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Guided(torch.autograd.Function):
    """Relu whose gradient passes where input and gradient are positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (dy,) = grad_outputs
        (x,) = ctx.saved_tensors
        return dy * (x > 0) * (dy > 0)


class ZeilerFergus(torch.autograd.Function):
    """Relu whose gradient passes where the gradient is positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0].clamp(min=0)


@contextmanager
def relu(net: nn.Module, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Another forward for every nn.ReLU, put back afterwards."""
    parts = [part for part in net.modules() if isinstance(part, nn.ReLU)]
    assert parts
    for part in parts:
        part.forward = function  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part in parts:
            del part.forward


def gradient(net: nn.Module, x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The gradient of one class's score per example, by `scores.gather(1, y).sum().backward()`."""
    rows = torch.from_numpy(x).to(next(net.parameters()).dtype).requires_grad_(True)
    net(rows).gather(1, torch.from_numpy(classes).view(-1, 1)).sum().backward()
    assert rows.grad is not None
    return rows.grad.numpy()


def with_relu(net: nn.Module, function: Any, x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The gradient with another backward pass of every Relu, or with its own."""
    if function is None:
        return gradient(net, x, classes)
    with relu(net, function.apply):
        return gradient(net, x, classes)


def path(net: nn.Module, x: np.ndarray, classes: np.ndarray, images: int) -> np.ndarray:
    """Integrated gradients from black: the mean over images evenly spaced, both ends included, times the way."""
    rows = np.concatenate([x * np.float32(share) for share in np.linspace(0, 1, images)])
    return x * gradient(net, rows, np.repeat(classes, images)).mean(0, dtype=np.float64, keepdims=True)


def grad_cam(net: nn.Module, layer: nn.Module, x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The layer's maps weighted by their mean gradients, summed, rectified."""
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda part, given, output: kept.append(output))
    rows = torch.from_numpy(x).to(next(net.parameters()).dtype)
    score = net(rows).gather(1, torch.from_numpy(classes).view(-1, 1)).sum()
    handle.remove()
    (weights,) = torch.autograd.grad(score, kept)
    return (weights.mean((2, 3), keepdim=True) * kept[0]).sum(1).clamp(min=0).detach().numpy()


def occlusion(net: nn.Module, x: np.ndarray, label: int, window: int, stride: int) -> np.ndarray:
    """The mean fall of the score over the black windows that cover a pixel."""
    size, total, count = x.shape[-1], np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
    starts = range(0, stride * -(-(size - window) // stride) + 1, stride)
    with torch.no_grad():
        whole = net(torch.from_numpy(x))[0, label].item()
        for top in starts:
            for left in starts:
                covered, place = x.copy(), np.s_[:, top : top + window, left : left + window]
                covered[0][place] = 0
                total[place] += whole - net(torch.from_numpy(covered))[0, label].item()
                count[place] += 1
    return (total / count)[None]
