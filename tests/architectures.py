"""The usual image classifiers as compact PyTorch modules, in the widths and depths of their papers.

Every Relu is a module of its own, not in place, as Captum's hooks want it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

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


Convolution = Callable[[int, int, int], list[nn.Module]]


def conv(inputs: int, outputs: int, size: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, padding=size // 2)]


def vgg(stages: list[list[int]], size: int, hidden: int, convolution: Convolution = conv) -> nn.Module:
    """Simonyan and Zisserman, 2014, arXiv:1409.1556; with BatchNormalization where ``convolution`` is ``conv_bn``."""
    layers: list[nn.Module] = []
    inputs = 3
    for widths in stages:
        for width in widths:
            layers += [*convolution(inputs, width, 3), nn.ReLU()]
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


MOBILENET = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def mobilenet(table: Sequence[tuple[int, int, int, int]] = MOBILENET, last: int = 1280) -> nn.Module:
    """MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381, table 2)."""
    layers: list[nn.Module] = [*conv_bn(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    for expand, outputs, depth, stride in table:
        for k in range(depth):
            layers.append(inverted_residual(inputs, outputs, 1 if k else stride, expand))
            inputs = outputs
    layers += [*conv_bn(inputs, last, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, CLASSES)]
    return nn.Sequential(*layers)


class Dense(nn.Module):
    """A layer of DenseNet: what comes in, and its own channels behind it."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        narrow = [nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False)]
        self.layer = nn.Sequential(
            *narrow, nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layer(x)], 1)


def densenet(depths: list[int], growth: int) -> nn.Module:
    """Huang et al., 2016, arXiv:1608.06993."""
    width = 2 * growth
    layers: list[nn.Module] = [*conv_bn(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for stage, depth in enumerate(depths):
        layers += [Dense(width + k * growth, growth) for k in range(depth)]
        width += depth * growth
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        if stage + 1 < len(depths):
            layers += [nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
            width //= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


class Gated(nn.Module):
    """x f(g(x)), squeeze and excite."""

    def __init__(self, width: int, narrow: int, middle: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, narrow, 1), middle)
        self.excite, self.gate = nn.Conv2d(narrow, width, 1), gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.excite(self.squeeze(x)))


def mobile_block(
    inputs: int, wide: int, outputs: int, size: int, stride: int, act: Callable[[], nn.Module], gates: list[nn.Module]
) -> nn.Module:
    """Widen, filter each channel, gate, narrow; with a shortcut where the shapes allow."""
    first = [*conv_bn(inputs, wide, 1), act()] if wide != inputs else []
    branch = [*first, *conv_bn(wide, wide, size, stride, groups=wide), act(), *gates, *conv_bn(wide, outputs, 1)]
    return Residual(branch, [], relu=False) if stride == 1 and inputs == outputs else nn.Sequential(*branch)


def mobilenet_v3() -> nn.Module:
    """MobileNetV3-Large (Howard et al., 2019, arXiv:1905.02244, table 1)."""
    relu, swish = nn.ReLU, nn.Hardswish
    table = [
        (3, 16, 16, 0, relu, 1), (3, 64, 24, 0, relu, 2), (3, 72, 24, 0, relu, 1),
        (5, 72, 40, 24, relu, 2), (5, 120, 40, 32, relu, 1), (5, 120, 40, 32, relu, 1),
        (3, 240, 80, 0, swish, 2), (3, 200, 80, 0, swish, 1), (3, 184, 80, 0, swish, 1),
        (3, 184, 80, 0, swish, 1), (3, 480, 112, 120, swish, 1), (3, 672, 112, 168, swish, 1),
        (5, 672, 160, 168, swish, 2), (5, 960, 160, 240, swish, 1), (5, 960, 160, 240, swish, 1),
    ]  # fmt: skip
    layers: list[nn.Module] = [*conv_bn(3, 16, 3, 2), swish()]
    inputs = 16
    for size, wide, outputs, narrow, act, stride in table:
        gates: list[nn.Module] = [Gated(wide, narrow, nn.ReLU(), nn.Hardsigmoid())] if narrow else []
        layers.append(mobile_block(inputs, wide, outputs, size, stride, act, gates))
        inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(960, 1280), swish(), nn.Linear(1280, CLASSES)]
    return nn.Sequential(*layers, *conv_bn(inputs, 960, 1), swish(), *head)


def efficientnet() -> nn.Module:
    """EfficientNet-B0 (Tan and Le, 2019, arXiv:1905.11946, table 1)."""
    table = [
        (1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ]  # fmt: skip
    layers: list[nn.Module] = [*conv_bn(3, 32, 3, 2), nn.SiLU()]
    inputs = 32
    for expand, size, outputs, depth, stride in table:
        for k in range(depth):
            wide = expand * inputs
            gate = Gated(wide, inputs // 4, nn.SiLU(), nn.Sigmoid())
            layers.append(mobile_block(inputs, wide, outputs, size, 1 if k else stride, nn.SiLU, [gate]))
            inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, CLASSES)]
    return nn.Sequential(*layers, *conv_bn(inputs, 1280, 1), nn.SiLU(), *head)


class Logits(nn.Module):
    """An image classifier of ``transformers`` as a function of pictures."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(pixel_values=x).logits


def convnext_tiny() -> nn.Module:
    """Liu et al., 2022, arXiv:2201.03545, with a layer scale under which its random blocks count."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(
        hidden_sizes=[96, 192, 384, 768],
        depths=[3, 3, 9, 3],
        layer_scale_init_value=1.0,
        initializer_range=0.05,
        num_labels=CLASSES,  # pyright: ignore[reportCallIssue]
    )
    return Logits(ConvNextForImageClassification(config))


def vit(size: int, patch: int, width: int, depth: int, heads: int) -> nn.Module:
    """The vision transformer (Dosovitskiy et al., 2020, arXiv:2010.11929)."""
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
    return Logits(ViTForImageClassification(config))


def deit_tiny() -> nn.Module:
    """Touvron et al., 2020, arXiv:2012.12877: a second token learns from a teacher, the scores are the mean of both."""
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

    config = DeiTConfig(
        hidden_size=192,
        num_attention_heads=3,
        intermediate_size=768,
        num_labels=CLASSES,  # pyright: ignore[reportCallIssue]
        initializer_range=192**-0.5,
    )
    return Logits(DeiTForImageClassificationWithTeacher(config))
