"""Small pictures of known pixels."""

from __future__ import annotations

import numpy as np
from onnxray.data.preprocess import Preprocess
from PIL import Image

UNIT = Preprocess()


def constant(*rgb: int, size: tuple[int, int] = (5, 4)) -> Image.Image:
    return Image.new("RGB", size, rgb)


def gradient() -> Image.Image:
    """40 wide, 20 high: red tells the column, green the row."""
    row, column = np.mgrid[:20, :40]
    return Image.fromarray(np.stack([column, row, 0 * row], axis=-1).astype(np.uint8))
