"""Maps to pictures: the only file that normalises, colours and lays over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import cmap
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from ..errors import InputError
from ..support.choice import choose
from .fonts import font_of

__all__ = [
    "DIVERGING",
    "PALETTES",
    "SIDE",
    "Map",
    "as_bytes",
    "caption",
    "colourise",
    "enlarge",
    "fitted",
    "grid",
    "normalise",
    "overlay",
    "palette_rows",
    "pasted",
    "resize",
    "scale_end",
    "side_by_side",
]

Map = NDArray[np.float32]

PALETTES = {
    "jet": "matlab:jet",
    "hot": "matlab:hot",
    "gray": "matlab:gray",
    "gray_r": "matlab:gray_r",
    "magma": "bids:magma",
    "bwr": "matplotlib:bwr",
    "RdBu_r": "colorbrewer:rdbu_r",
}
DIVERGING = frozenset({"bwr", "RdBu_r"})  # blue below zero, white, red above
SIDE = 224  # pixels: what smaller pictures are enlarged to, and the tile of a grid
NOISE = 1e-3  # of the maximum: a scale that ends lower would show rounding errors as evidence
STEPS = 256  # an even number, so that zero has a colour of its own in a diverging palette


def normalise(heat: NDArray, percentile: float | None = 99.5, *, signed: bool = False) -> Map:
    """A map (H, W) on the scale 0..1, or -1..1 if signed: zero stays zero, the strongest pixels are at the end.

    The end is that of ``scale_end``. Unsigned, values below zero count as zero.
    """
    plane = _plane(heat).astype(np.float64)
    end = scale_end(np.abs(plane), percentile)
    return np.clip(plane / end, -1 if signed else 0, 1).astype(np.float32)


def scale_end(strength: NDArray, percentile: float | None = 99.5) -> float:
    """Where a scale of absolute values ends: at that percentile, so that a few outliers do not darken the rest; at the
    largest where percentile is None or leaves hardly anything; at 1 where all are zero.
    """
    share = 100.0 if percentile is None else _within("percentile", percentile, 100)
    end, top = float(np.percentile(strength, share)), float(strength.max())
    return end if end > NOISE * top else top or 1.0


def resize(heat: NDArray, size: tuple[int, int]) -> Map:
    """A map (H, W) at another (width, height), bicubic, so that a coarse map looks smooth."""
    plane = _plane(heat)
    if plane.shape == size[::-1]:
        return plane
    return np.array(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))


def colourise(heat: NDArray, palette: str = "jet") -> Image.Image:
    """A normalised map as an RGB picture of its own size; diverging palettes expect -1..1, the others 0..1."""
    colours = _colours(palette)
    plane = _plane(heat)
    share = (plane + 1) / 2 if palette in DIVERGING else plane
    return Image.fromarray(colours[np.rint(np.clip(share, 0, 1) * STEPS).astype(np.int64)])


def overlay(
    picture: Image.Image, heat: NDArray, palette: str = "jet", *, alpha: float = 0.7, fade: float = 0.4
) -> Image.Image:
    """A normalised map over a picture, at the picture's size: the stronger the map, the more it covers, up to alpha.

    fade turns the picture towards a dark grey copy of itself, 0 not at all, so that the colours stand out.
    """
    full = resize(heat, picture.size)
    strength = np.clip(np.abs(full) if palette in DIVERGING else full, 0, 1)[..., None]
    cover = _within("alpha", alpha, 1) * np.sqrt(strength)
    base = np.asarray(picture.convert("RGB"), np.float32)
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    faded = base + _within("fade", fade, 1) * (grey / 2 - base)
    mixed = faded + cover * (np.asarray(colourise(full, palette), np.float32) - faded)
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def enlarge(picture: Image.Image, side: int = SIDE) -> Image.Image:
    """A picture far below `side` pixels, enlarged by a whole factor so that its pixels show; others unchanged."""
    factor = side // max(picture.size)
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST) if factor > 1 else picture


def side_by_side(pictures: Sequence[Image.Image], captions: Sequence[str] = (), *, tile: int = SIDE) -> Image.Image:
    """Pictures in a row, each with its caption above."""
    return grid([pictures], captions, tile=tile)


def grid(
    rows: Sequence[Sequence[Image.Image]],
    columns: Sequence[str] = (),
    labels: Sequence[str] = (),
    *,
    tile: int = SIDE,
) -> Image.Image:
    """Rows of pictures on white, each fitted into tile x tile pixels, below column captions and after row labels."""
    longest = max((len(row) for row in rows), default=0)
    if longest == 0 or len(columns) not in (0, longest) or len(labels) not in (0, len(rows)):
        raise InputError(
            f"{len(columns)} captions and {len(labels)} labels do not fit {len(rows)} rows of {longest} pictures;"
            " give one per column and one per row, or none"
        )
    table = [[fitted(picture, tile) for picture in row] for row in rows]
    if columns:
        table.insert(0, [_text(caption, tile, tile / 15) for caption in columns])
    if labels:
        names = ["", *labels] if columns else labels
        table = [[_text(name, tile // 2, tile / 15), *row] for name, row in zip(names, table, strict=True)]
    return pasted(table, gap=tile // 28)


def _plane(heat: NDArray) -> Map:
    with np.errstate(over="ignore"):
        plane = np.asarray(heat).astype(np.float32)
    if plane.ndim != 2 or 0 in plane.shape:
        raise InputError(f"a map of shape {plane.shape} cannot be drawn; give one of (height, width)")
    if not np.isfinite(plane).all():
        raise InputError(
            "the map holds NaN or infinite values; look at the model's output and the attribution's values"
        )
    return plane


def _within(name: str, value: float, end: float) -> float:
    if not 0 <= value <= end:
        raise InputError(f"{name} is {value}; give a number from 0 to {end}")
    return value


@cache
def _colours(palette: str) -> NDArray[np.uint8]:
    return np.rint(cmap.Colormap(PALETTES[choose(palette, PALETTES, "palette")]).lut(STEPS + 1)[:, :3] * 255).astype(
        np.uint8
    )


def palette_rows(palette: str) -> list[list[int]]:
    """The colours of a palette, from the first to the last, as red, green and blue."""
    return _colours(palette).tolist()


def as_bytes(values: NDArray) -> NDArray[np.uint8]:
    """Numbers as bytes, from their least to their largest."""
    low, high = float(values.min()), float(values.max())
    return np.rint(255 * (values - low) / ((high - low) or 1.0)).astype(np.uint8)


def fitted(picture: Image.Image, tile: int) -> Image.Image:
    """A picture enlarged or made smaller to at most tile x tile pixels."""
    enlarged = enlarge(picture, tile)
    return enlarged if enlarged is not picture else ImageOps.contain(picture, (tile, tile))


def caption(text: str, limit: int = 720) -> Image.Image:
    """A line of text on white, as wide as it is, broken where it is wider than ``limit`` pixels."""
    return _text(text, limit, SIDE / 15)


def _text(text: str, limit: int, size: float) -> Image.Image:
    """Text as a picture, broken between words where it is wider than `limit`."""
    font = font_of(size, text)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines[-1:] = [longer] if font.getlength(longer) <= limit or not lines[-1] else [lines[-1], word]
    drawing = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    width = max(map(font.getlength, lines))
    height = drawing.multiline_textbbox((0, 0), "\n".join("|" for _ in lines), font)[3]  # whatever the letters are
    picture = Image.new("RGB", (math.ceil(width) + 1, math.ceil(height) + 1), "white")
    ImageDraw.Draw(picture).multiline_text((0, 0), "\n".join(lines), "black", font, align="center")
    return picture


def pasted(table: Sequence[Sequence[Image.Image]], gap: int = SIDE // 28) -> Image.Image:
    """Rows of pictures of any size on white, in columns as wide as the widest."""
    heights = [max(picture.height for picture in row) for row in table]
    widths = [max(row[k].width for row in table if k < len(row)) for k in range(max(map(len, table)))]
    sheet = Image.new("RGB", (sum(widths) + gap * (len(widths) + 1), sum(heights) + gap * (len(heights) + 1)), "white")
    top = gap
    for row, height in zip(table, heights, strict=True):
        left = gap
        for picture, width in zip(row, widths, strict=False):
            sheet.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
            left += width + gap
        top += height + gap
    return sheet
