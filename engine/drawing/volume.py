"""Attributions of a volume: slices of it, the middle one and the strongest among them, each with its number."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from . import heatmap
from .colour_scale import ColourScale
from .styles import Look, pictured

__all__ = ["grey_planes", "labelled", "shown_slices", "slice_numbers", "volume_picture"]

MOST, ROW = 9, 5  # slices of a grid, and of a figure whose rows are picture, map and overlay
TILE = 160  # pixels


def slice_numbers(depth: int, most: int = MOST) -> list[int]:
    """At most so many numbers of slices, evenly spaced from end to end, the middle one (depth // 2) among them."""
    if depth <= most:
        return list(range(depth))
    half, middle = most // 2, depth // 2
    before = [round(middle * k / half) for k in range(half)]
    after = [middle + round((depth - 1 - middle) * (k + 1) / half) for k in range(half)]
    return [*before, middle, *after]


def shown_slices(heat: NDArray, depth: int, most: int = MOST) -> list[int]:
    """The numbers of slices, in which the slice with the most evidence takes the place of the nearest to it."""
    numbers, sums = slice_numbers(depth, most), np.abs(heat).sum((1, 2))
    strongest = int((np.argmax(sums) + 0.5) * depth / len(heat))
    if sums.max() > sums.min() and strongest not in numbers:
        near = min((k for k in numbers if k != depth // 2), key=lambda k: abs(k - strongest))
        numbers[numbers.index(near)] = strongest
    return sorted(numbers)


def volume_picture(heat: NDArray, planes: NDArray | None, scale: ColourScale, look: Look) -> Image.Image:
    """A map (D, H, W) on planes (D, H, W) or (D, H, W, 3) of bytes, slice by slice; a map of a layer's size has as many
    slices as the layer, each on the plane at its place.
    """
    depth = len(heat) if planes is None else len(planes)
    if look.style not in ("figure", "grid"):
        numbers = shown_slices(heat, depth)
        tiles = [_slice(heat, planes, k, depth, scale, look) for k in numbers]
        wide = math.ceil(math.sqrt(len(tiles)))
        return heatmap.grid([tiles[k : k + wide] for k in range(0, len(tiles), wide)], tile=TILE)
    numbers = shown_slices(heat, depth, ROW)
    styles = {"volume": "volume", "map": "map", "overlay": "overlay"} if planes is not None else {"map": "map"}
    rows = [
        [_slice(heat, planes, k, depth, scale, Look(style, look.alpha, look.fade)) for k in numbers]
        for style in styles.values()
    ]
    return heatmap.grid(rows, labels=list(styles), tile=TILE)


def grey_planes(volume: NDArray, channel_axis: int) -> NDArray[np.uint8]:
    """A volume of four axes as planes of bytes from its least to its largest value: colours of three channels, else
    the mean over channels.
    """
    moved = np.moveaxis(np.asarray(volume, np.float64), channel_axis, -1)
    return heatmap.as_bytes(moved if moved.shape[-1] == 3 else moved.mean(-1))


def _slice(heat: NDArray, planes: NDArray | None, k: int, depth: int, scale: ColourScale, look: Look) -> Image.Image:
    picture = None if planes is None else Image.fromarray(planes[k])
    own = heat[min(len(heat) - 1, int((k + 0.5) * len(heat) / depth))]
    drawn = heatmap.enlarge(picture.convert("RGB"), TILE) if picture is not None and look.style == "volume" else None
    return labelled(drawn or pictured(picture, own, scale, look), f"slice {k} of {depth}", TILE)


def labelled(picture: Image.Image, text: str, tile: int) -> Image.Image:
    """A picture fitted into tile x tile pixels, with a text in its upper left corner."""
    fitted = heatmap.fitted(picture, tile).copy()
    font = ImageFont.load_default(12)
    ImageDraw.Draw(fitted).text((4, 2), text, "white", font, stroke_width=1, stroke_fill="black")
    return fitted
