"""The nets that are timed: random weights of a fixed seed, in PyTorch and, exported by it, in ONNX."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from nets import export, net

__all__ = ["NARROW", "Subject", "last_convolution", "last_maps", "subject"]

NARROW = 320  # channels of the layer whose channels are looked at one by one

POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True, eq=False)
class Subject:
    """A classifier in eval mode and the shape of one example."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]

    def examples(self, count: int) -> np.ndarray:
        return np.random.default_rng([0, *self.shape]).standard_normal((count, *self.shape)).astype(np.float32)

    @cached_property
    def proto(self) -> onnx.ModelProto:
        return export(self.module, torch.from_numpy(self.examples(2)))

    @cached_property
    def double(self) -> nn.Module:
        return copy.deepcopy(self.module).double()


class LastStep(nn.Module):
    """Two layers of LSTM over a series (N, 128, 64); the last step is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 256, 2, batch_first=True), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def subject(name: str) -> Subject:
    """A net of ``TITLES``; pictures are 224 by 224."""
    if name != "lstm":
        return Subject(name, net(name).module, (3, 224, 224))
    torch.manual_seed(0)
    module = LastStep().requires_grad_(False)  # in train mode, as cuDNN wants it; there is no dropout
    return Subject(name, module, (128, 64))


def last_maps(one: Subject, most: int | None = None) -> nn.Module:
    """The last module but poolings that makes maps, at ``most`` so many; of a transformer the embedding of patches."""
    found: list[nn.Module] = []

    def remember(layer: nn.Module, _: object, y: Tensor) -> None:
        if y.dim() == 4 and y.shape[-1] > 1 and (most is None or y.shape[1] <= most):
            found.append(layer)

    leaves = [layer for layer in one.module.modules() if not (list(layer.children()) or isinstance(layer, POOLS))]
    hooks = [layer.register_forward_hook(remember) for layer in leaves]
    one.module(torch.from_numpy(one.examples(1)))
    for hook in hooks:
        hook.remove()
    return found[-1]


def last_convolution(one: Subject, most: int | None = None) -> str:
    """The tensor that the last Conv of the exported model makes, of at ``most`` so many channels."""
    channels = {weights.name: weights.dims[0] for weights in one.proto.graph.initializer if weights.dims}
    convolutions = [node for node in one.proto.graph.node if node.op_type == "Conv"]
    return [node.output[0] for node in convolutions if most is None or channels[node.input[1]] <= most][-1]
