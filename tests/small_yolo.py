"""A small convolutional detector with the parts and the output of YOLOv8, with random weights."""

from __future__ import annotations

import onnx
from nets import export

__all__ = ["small_yolo"]

CLASSES, BINS, STRIDES = 3, 8, (8, 16)


def small_yolo(side: int = 64) -> onnx.ModelProto:
    """Pictures (N, 3, side, side) to (N, 4 + classes, places): centres and sizes in pixels, and scores by class."""
    import torch
    from torch import Tensor, nn

    def layer(taken: int, made: int, stride: int = 1) -> nn.Module:
        return nn.Sequential(nn.Conv2d(taken, made, 3, stride, 1), nn.BatchNorm2d(made), nn.SiLU())

    class Yolo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(layer(3, 8, 2), layer(8, 16, 2), layer(16, 32, 2))
            self.deep, self.joined = layer(32, 32, 2), layer(4 * 32, 32)
            self.fine = layer(64, 32)
            self.heads = nn.ModuleList(nn.Conv2d(32, 4 * BINS + CLASSES, 1) for _ in STRIDES)

        def forward(self, x: Tensor) -> Tensor:
            fine = self.stem(x)
            pooled = [self.deep(fine)]
            for _ in range(3):  # fast spatial pyramid pooling
                pooled.append(nn.functional.max_pool2d(pooled[-1], 3, 1, 1))
            deep = self.joined(torch.cat(pooled, 1))
            wide = nn.functional.interpolate(deep, scale_factor=2.0, mode="nearest")
            maps = self.fine(torch.cat([fine, wide], 1)), deep
            return torch.cat([decoded(head(one), s) for head, one, s in zip(self.heads, maps, STRIDES, strict=True)], 2)

    def decoded(raw: Tensor, stride: int) -> Tensor:
        """Of each cell the distances to four sides, as means of distributions over bins, as a box."""
        cells = side // stride
        bins, scores = raw.flatten(2).split([4 * BINS, CLASSES], 1)
        spread = bins.unflatten(1, (4, BINS)).softmax(2)
        far = (spread * torch.arange(BINS, dtype=torch.float32).reshape(1, 1, BINS, 1)).sum(2)
        along = torch.arange(cells, dtype=torch.float32) + 0.5
        centres = torch.stack([along.repeat(cells), along.repeat_interleave(cells)])
        begin, end = centres - far[:, :2], centres + far[:, 2:]
        return torch.cat([(begin + end) / 2 * stride, (end - begin) * stride, scores.sigmoid()], 1)

    torch.manual_seed(0)
    net = Yolo().eval()
    for one in net.modules():
        if isinstance(one, nn.Conv2d):  # PyTorch's own let the signal fade
            nn.init.normal_(one.weight, std=1.4 / one.weight[0].numel() ** 0.5)
    made = export(net, torch.randn(2, 3, side, side))
    onnx.helper.set_model_props(made, {"names": str(dict(enumerate(("cat", "dog", "owl"))))})
    return made
