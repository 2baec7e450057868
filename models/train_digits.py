"""Trains digits.onnx, a small convolutional net on handwritten digits, and writes its labels and a sample.

Run it with python -m onnxray.models.train_digits; it takes a minute and needs torch and scikit-learn.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from onnxray.data.preprocess import Preprocess
from PIL import Image
from torch import Tensor, nn

from .data import digits
from .network import steady, train, write

HERE = Path(__file__).parent
LABELS = [str(digit) for digit in range(10)]
PREPROCESS = Preprocess(size=(28, 28), channels="L")
SAMPLE = 8  # of the pictures held out


def main() -> None:
    """Writes digits.onnx, digits.txt and digit.png beside this file."""
    steady()
    split, network = digits(), layers()
    train(network, split.inputs[:, None] / 255, split.labels, epochs=100, decay=1e-2, vary=varied)
    metadata = {**PREPROCESS.to_metadata(), "onnxray.labels": json.dumps(LABELS)}
    write(network, HERE / "digits.onnx", "image", (1, 28, 28), metadata)
    (HERE / "digits.txt").write_text("\n".join(LABELS) + "\n")
    Image.fromarray(split.unseen[SAMPLE]).save(HERE / "digit.png")


def layers() -> nn.Sequential:
    """Four convolutions, the last two of 7 x 7 cells, their average, and a linear layer.

    The average makes Grad-CAM worth looking at: weights for every cell, flattened, left it empty for many digits.
    """
    network = nn.Sequential()
    for k, (before, after) in enumerate([(1, 16), (16, 24), (24, 32), (32, 32)], start=1):
        network.add_module(f"conv{k}", nn.Conv2d(before, after, 3, padding=1))
        network.add_module(f"relu{k}", nn.ReLU())
        if k < 3:
            network.add_module(f"pool{k}", nn.MaxPool2d(2))
    network.add_module("average", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc", nn.Linear(32, 10))
    return network


def varied(pictures: Tensor) -> Tensor:
    """A batch moved by up to 3 pixels, less than the margin of the digits, under noise, which cleans the gradient."""
    moved = pictures.roll(torch.randint(-3, 4, (2,)).tolist(), (2, 3))
    return moved + 0.2 * torch.randn_like(moved)


if __name__ == "__main__":
    main()
