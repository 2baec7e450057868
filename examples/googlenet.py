"""GoogLeNet (Szegedy et al., 2014, arXiv:1409.4842) in PyTorch, for googlenet_as_in_matlab.py."""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

MEAN = (123.68, 116.78, 103.94)
MODULES = {  # channels in, then of 1x1, of 3x3 and its reduction, of 5x5 and its reduction, of the pooling's projection
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class Centred(nn.Module):
    """Pixels from 0 to 255 less their mean, as the input layer has it, so that black is 0 outside."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - torch.tensor(MEAN)[:, None, None]) / 57


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, inside: int, ones: int, reduce3: int, threes: int, reduce5: int, fives: int, pool: int) -> None:
        super().__init__()
        self.b1 = conv(inside, ones, 1)
        self.b3 = nn.Sequential(conv(inside, reduce3, 1), conv(reduce3, threes, 3))
        self.b5 = nn.Sequential(conv(inside, reduce5, 1), conv(reduce5, fives, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(inside, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b1(x), self.b3(x), self.b5(x), self.pool(x)], 1)


def conv(inside: int, outside: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution and ReLU."""
    return nn.Sequential(nn.Conv2d(inside, outside, size, stride, size // 2), nn.ReLU())


def halved() -> nn.Module:
    """Pooling to half the size."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def googlenet(weights: Path | None = None, classes: int = 1000) -> nn.Module:
    """The net, with weights of a file or random ones."""
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {"input": Centred(), "conv1": conv(3, 64, 7, 2), "pool1": halved()}
    layers |= {"norm1": nn.LocalResponseNorm(5), "conv2_reduce": conv(64, 64, 1), "conv2": conv(64, 192, 3)}
    layers |= {"norm2": nn.LocalResponseNorm(5), "pool2": halved()}
    for name, widths in MODULES.items():
        layers |= {f"inception_{name}": Inception(*widths)} | (
            {f"pool_{name}": halved()} if name in ("3b", "4e") else {}
        )
    layers |= {"pool5": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "dropout": nn.Dropout(0.4)}
    net = nn.Sequential(OrderedDict(layers, classifier=nn.Linear(1024, classes), prob=nn.Softmax(1)))
    net.load_state_dict(torch.load(weights, weights_only=True)) if weights else net.apply(he)
    return net.eval()


def he(part: nn.Module) -> None:
    """Random weights that keep the scale of what passes."""
    if isinstance(part, nn.Conv2d) and part.bias is not None:
        nn.init.kaiming_normal_(part.weight)
        nn.init.zeros_(part.bias)
