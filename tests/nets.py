"""The usual image classifiers as compact PyTorch modules with seeded random weights, and as ONNX.

Every Relu is a module of its own, not in place, as Captum's hooks want it. BatchNorm statistics are measured on random
pictures and then shaken, so that the signal stays alive and they matter.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
import torch
from torch import Tensor, nn

__all__ = ["NETS", "Net", "export", "net"]

CLASSES = 10


def conv_bn(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """ReLU(branch(x) + shortcut(x)), or without the ReLU for inverted residuals."""

    def __init__(self, branch: list[nn.Module], shortcut: list[nn.Module], relu: bool = True) -> None:
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)
        self.end = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.branch(x) + self.shortcut(x))


def basic_block(inputs: int, width: int, stride: int) -> tuple[nn.Module, int]:
    branch = [*conv_bn(inputs, width, 3, stride), nn.ReLU(), *conv_bn(width, width, 3)]
    return Residual(branch, conv_bn(inputs, width, 1, stride) if stride > 1 or inputs != width else []), width


def bottleneck(inputs: int, width: int, stride: int) -> tuple[nn.Module, int]:
    wide = 4 * width
    narrow = [*conv_bn(inputs, width, 1), nn.ReLU(), *conv_bn(width, width, 3, stride), nn.ReLU()]
    shortcut = conv_bn(inputs, wide, 1, stride) if stride > 1 or inputs != wide else []
    return Residual([*narrow, *conv_bn(width, wide, 1)], shortcut), wide


def resnet(block: Callable[[int, int, int], tuple[nn.Module, int]], depths: list[int], width: int) -> nn.Module:
    """He et al., 2015, arXiv:1512.03385."""
    layers: list[nn.Module] = [*conv_bn(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = width
    for stage, depth in enumerate(depths):
        for k in range(depth):
            made, inputs = block(inputs, width * 2**stage, 2 if stage and not k else 1)
            layers.append(made)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


def vgg(stages: list[list[int]], size: int, hidden: int) -> nn.Module:
    """Simonyan and Zisserman, 2014, arXiv:1409.1556."""
    layers: list[nn.Module] = []
    inputs = 3
    for widths in stages:
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    flat = inputs * (size // 2 ** len(stages)) ** 2
    head = [nn.Linear(flat, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Flatten(), *head, nn.Linear(hidden, CLASSES))


def inverted_residual(inputs: int, outputs: int, stride: int, expand: int) -> nn.Module:
    wide = inputs * expand
    first = [*conv_bn(inputs, wide, 1), nn.ReLU6()] if expand > 1 else []
    branch = [*first, *conv_bn(wide, wide, 3, stride, groups=wide), nn.ReLU6(), *conv_bn(wide, outputs, 1)]
    return Residual(branch, [], relu=False) if stride == 1 and inputs == outputs else nn.Sequential(*branch)


def mobilenet() -> nn.Module:
    """MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381)."""
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers: list[nn.Module] = [*conv_bn(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    for expand, outputs, depth, stride in table:
        for k in range(depth):
            layers.append(inverted_residual(inputs, outputs, 1 if k else stride, expand))
            inputs = outputs
    layers += [*conv_bn(inputs, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, CLASSES)]
    return nn.Sequential(*layers)


class ViT(nn.Module):
    """The vision transformer of ``transformers`` (Dosovitskiy et al., 2020, arXiv:2010.11929)."""

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification

        config = ViTConfig(
            image_size=size,
            patch_size=patch,
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            num_labels=CLASSES,  # pyright: ignore[reportCallIssue]
            initializer_range=width**-0.5,
        )
        self.net = ViTForImageClassification(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(pixel_values=x).logits


NETS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "cnn": (lambda: resnet(basic_block, [1], 8), 16),
    "resnet": (lambda: resnet(basic_block, [2, 2, 2, 2], 16), 64),
    "resnet50": (lambda: resnet(bottleneck, [3, 4, 6, 3], 64), 224),
    "vgg": (lambda: vgg([[16, 16], [32, 32], [64, 64]], 32, 64), 32),
    "vgg16": (lambda: vgg([[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3], 224, 4096), 224),
    "mobilenet": (mobilenet, 224),
    "vit": (lambda: ViT(32, 8, 48, 3, 4), 32),
    "vit-b16": (lambda: ViT(224, 16, 768, 12, 12), 224),
}


@dataclass(frozen=True, eq=False)
class Net:
    """A module in float32, the same in float64, the same as ONNX, and the size of its pictures."""

    name: str
    module: nn.Module
    size: int

    @property
    def double(self) -> nn.Module:
        return _double(self.name)

    @property
    def proto(self) -> onnx.ModelProto:
        """As exported: BatchNormalization folded into Conv."""
        return _proto(self.name, optimize=True)

    @property
    def unfolded(self) -> onnx.ModelProto:
        """As exported without optimisation: BatchNormalization where the module has it."""
        return _proto(self.name, optimize=False)

    def pictures(self, count: int, seed: int = 0) -> np.ndarray:
        shape = (count, 3, self.size, self.size)
        return np.random.default_rng([seed, self.size]).standard_normal(shape).astype(np.float32)


@cache
def net(name: str) -> Net:
    """A network of NETS; the same weights in every process."""
    make, size = NETS[name]
    torch.manual_seed(0)
    module = make()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and not isinstance(module, ViT):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    settle_statistics(module, size)
    return Net(name, module.eval().requires_grad_(False), size)


def settle_statistics(module: nn.Module, size: int) -> None:
    """BatchNorm statistics of random pictures, shaken; random scales and shifts."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.normal_(norm.bias, std=0.1)
    if norms:
        with torch.no_grad():
            module.train()(torch.randn(4, 3, size, size))
    for norm in norms:
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean += 0.2 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
            norm.running_var *= 0.5 + torch.rand_like(norm.running_var)


@cache
def _double(name: str) -> nn.Module:
    return copy.deepcopy(net(name).module).double()


@cache
def _proto(name: str, optimize: bool) -> onnx.ModelProto:
    one = net(name)
    return export(one.module, torch.from_numpy(one.pictures(2)), optimize)


def export(module: nn.Module, example: Tensor, optimize: bool = True) -> onnx.ModelProto:
    """A module as ONNX, with input x, output y and an open batch."""
    batch = {0: torch.export.Dim("batch")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            input_names=["x"],
            output_names=["y"],
            dynamic_shapes=(batch,),
            opset_version=18,
            dynamo=True,
            optimize=optimize,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter gave no program")
    return program.model_proto
