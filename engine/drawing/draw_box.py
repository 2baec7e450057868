"""What a score is taken of, drawn on a picture: a box of a detector with its name, the edge of a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .fonts import font_of
from .heatmap import SIDE, enlarge

__all__ = ["with_box", "with_mask"]

COLOUR = "#00e5ff"


def with_box(picture: Image.Image, corners: Sequence[float], name: str) -> Image.Image:
    """A copy of a picture, enlarged if it is small, with the box x1, y1, x2, y2 in its pixels and a name beside it.

    The name stands above the box where there is room, else inside of it.
    """
    drawn = enlarge(picture.convert("RGB")).copy()
    factor = drawn.width / picture.width
    x1, y1, x2, y2 = (value * factor for value in corners)
    width = max(1, round(max(drawn.size) / SIDE))
    pen, font = ImageDraw.Draw(drawn), font_of(max(10, 10 * width), name)
    pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=COLOUR, width=width)
    left, top, right, bottom = pen.textbbox((0, 0), name, font)
    high = bottom - top + 2 * width
    at = (min(max(0.0, x1), max(0.0, drawn.width - right - 2 * width)), y1 - high if y1 >= high else y1 + width)
    pen.rectangle((at[0], at[1], at[0] + right - left + 2 * width, at[1] + high), fill=COLOUR)
    pen.text((at[0] + width - left, at[1] + width - top), name, "black", font)
    return drawn


def with_mask(picture: Image.Image, mask: NDArray[np.bool_]) -> Image.Image:
    """A copy of a picture, enlarged if it is small, with the inner edge of a mask (height, width) of any size."""
    drawn = enlarge(picture.convert("RGB")).copy()
    width = max(1, round(max(drawn.size) / SIDE))
    inside = Image.fromarray(mask.astype(np.uint8) * 255).resize(drawn.size, Image.Resampling.NEAREST)
    edge = ImageChops.difference(inside, inside.filter(ImageFilter.MinFilter(2 * width + 1)))
    drawn.paste(COLOUR, mask=edge)
    return drawn
