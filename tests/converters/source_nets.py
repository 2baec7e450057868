"""PyTorch architectures of the tests, with the module names of torchvision: narrow for every day, or as published."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Basic(nn.Module):
    """Residual block of ResNet-18; one relu is called twice, as in torchvision."""

    expansion = 1

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inside, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """Residual block of ResNet-50."""

    expansion = 4

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inside, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        return self.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


def shortcut(inside: int, outside: int, stride: int) -> nn.Module | None:
    """The projection of a residual block that changes its shape."""
    if stride == 1 and inside == outside:
        return None
    return nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))


class ResNet(nn.Module):
    """ResNet-18 or ResNet-50 by block and depths."""

    def __init__(self, block: type[Basic | Bottleneck], depths: tuple[int, ...], width: int = 64, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inside = width
        for stage, depth in enumerate(depths):
            blocks: list[nn.Module] = []
            for index in range(depth):
                blocks.append(block(inside, width << stage, 2 if stage and not index else 1))
                inside = block.expansion * (width << stage)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inside, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet18(width: int = 16, classes: int = 10) -> nn.Module:
    """ResNet-18, as published at width 64."""
    return ResNet(Basic, (2, 2, 2, 2), width, classes)


def resnet50(width: int = 64) -> nn.Module:
    """ResNet-50."""
    return ResNet(Bottleneck, (3, 4, 6, 3), width, 1000)


class VGG(nn.Module):
    """VGG-11, as published at width 64 with pooling to 7 and 4096 units; by default an eighth of it."""

    def __init__(self, width: int = 8, pool: int = 2, units: int = 64, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for scale in (1, 0, 2, 0, 4, 4, 0, 8, 8, 0, 8, 8, 0):
            if not scale:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers += [nn.Conv2d(inside, scale * width, 3, padding=1), nn.ReLU(inplace=True)]
            inside = scale * width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((pool, pool))
        hidden: list[nn.Module] = []
        for size in (inside * pool * pool, units):
            hidden += [nn.Linear(size, units), nn.ReLU(True), nn.Dropout()]
        self.classifier = nn.Sequential(*hidden, nn.Linear(units, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Inverted(nn.Module):
    """Inverted residual of MobileNetV2."""

    def __init__(self, inside: int, outside: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inside * expand
        layers = [conv(inside, width, 1)] if expand != 1 else []
        self.conv = nn.Sequential(
            *layers,
            conv(width, width, 3, stride, width),
            nn.Conv2d(width, outside, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.adds = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


def conv(inside: int, outside: int, size: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """Convolution, batch norm and ReLU6."""
    plain = nn.Conv2d(inside, outside, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(plain, nn.BatchNorm2d(outside), nn.ReLU6(inplace=True))


class MobileNetV2(nn.Module):
    """MobileNetV2 at full depth; as published at width 8, by default a quarter of it."""

    def __init__(self, width: int = 2, classes: int = 10) -> None:
        super().__init__()
        table = ((1, 2, 1, 1), (6, 3, 2, 2), (6, 4, 3, 2), (6, 8, 4, 2), (6, 12, 3, 1), (6, 20, 3, 2), (6, 40, 1, 1))
        inside, last = 4 * width, 160 * width
        blocks: list[nn.Module] = [conv(3, inside, 3, 2)]
        for expand, scale, count, stride in table:
            for index in range(count):
                blocks.append(Inverted(inside, scale * width, stride if index == 0 else 1, expand))
                inside = scale * width
        self.features = nn.Sequential(*blocks, conv(inside, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class Sequence(nn.Module):
    """A Transformer encoder over embedded tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(tokens)).mean(1))


def encoder() -> nn.Module:
    """The encoder of the original Transformer in its base size, over vectors."""
    layer = nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True)
    return nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)


class Recurrent(nn.Module):
    """A two-layer LSTM over a series."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 12, num_layers=2, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        series, _ = self.lstm(x)
        return self.head(series[:, -1])


class TwoInputs(nn.Module):
    """Two inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.left_part = nn.Linear(4, 6)
        self.right_part = nn.Linear(3, 6)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.softmax(torch.relu(self.left_part(left)) + self.right_part(right), -1)


class Branching(nn.Module):
    """A branch on data, which the legacy exporter bakes in."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) if x.sum() > 0 else -3 * self.fc(x)


def build_two() -> nn.Module:
    """A factory for weights."""
    return TwoInputs()


class CifarBlock(nn.Module):
    """Block of akamaster's ResNet-20: the shortcut subsamples and pads channels."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.pad = (width - inside) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        side = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad)) if self.pad else x
        return F.relu(y + side)


class CifarResNet20(nn.Module):
    """ResNet-20 of github.com/akamaster/pytorch_resnet_cifar10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(CifarBlock(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(CifarBlock(16, 32, 2), CifarBlock(32, 32, 1), CifarBlock(32, 32, 1))
        self.layer3 = nn.Sequential(CifarBlock(32, 64, 2), CifarBlock(64, 64, 1), CifarBlock(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(F.avg_pool2d(x, x.shape[3]).flatten(1))


class BurnMnist(nn.Module):
    """The digit classifier of the weights in tracel-ai/burn's import example."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.conv3 = nn.Conv2d(16, 24, 3)
        self.norm1 = nn.BatchNorm2d(24)
        self.fc1 = nn.Linear(11616, 32)
        self.fc2 = nn.Linear(32, 10)
        self.norm2 = nn.BatchNorm1d(10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))
        x = F.relu(self.fc1(self.norm1(x).flatten(1)))
        return F.log_softmax(self.norm2(self.fc2(x)), 1)
