"""Where a picture lies in what the model sees, so that places the model gives can be told in pixels of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from .pictures import crop_window

__all__ = ["Placement", "letterbox", "placement"]

GREY = (114, 114, 114)  # round letterboxed pictures, as the YOLO family is trained


@dataclass(frozen=True)
class Placement:
    """A pixel of the picture, times ``scale``, plus ``offset``, is a pixel of what the model sees; (x, y) both.

    ``size`` is (width, height) of the picture.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    size: tuple[int, int]

    def in_picture(self, boxes: NDArray) -> NDArray[np.float32]:
        """Boxes x1, y1, x2, y2 of what the model sees, ``(..., 4)``, in pixels of the picture, cut at its edges."""
        scale, offset, size = (
            np.tile(np.asarray(pair, np.float64), 2) for pair in (self.scale, self.offset, self.size)
        )
        return np.clip((np.asarray(boxes) - offset) / scale, 0, size).astype(np.float32)


def letterbox(image: Image.Image, height: int, width: int) -> Image.Image:
    """The whole picture at its aspect, as large as fits, in the middle of grey."""
    return ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR, GREY)


def placement(size: tuple[int, int], fit: str, seen: tuple[int, int]) -> Placement:
    """The placement of a picture of a size (width, height) that ``fit`` brings to the size of what the model sees."""
    if fit == "crop":
        full, corner = crop_window(size, seen)
        return Placement(_ratio(full, size), (-corner[0], -corner[1]), size)
    if fit == "letterbox":
        inner = ImageOps.contain(Image.new("1", size), seen).size
        inner = (max(1, inner[0]), max(1, inner[1]))
        return Placement(_ratio(inner, size), _half(seen, inner), size)
    return Placement(_ratio(seen, size), (0.0, 0.0), size)


def _ratio(a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float]:
    return a[0] / b[0], a[1] / b[1]


def _half(outer: tuple[int, int], inner: tuple[int, int]) -> tuple[float, float]:
    """Where Pillow's pad pastes: the half of what is left, rounded."""
    return float(round((outer[0] - inner[0]) * 0.5)), float(round((outer[1] - inner[1]) * 0.5))
