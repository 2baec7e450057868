"""Attributions of a series: the curve of each channel over the colours of its map, above an axis of time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from . import heatmap
from .colour_scale import ColourScale
from .heatmap import Map

__all__ = ["CURVES", "TimeAxis", "series_picture"]

CURVES = 16  # channels that have a curve of their own; more are rows of one plane
WIDTH, LEFT, RIGHT, FOOT, FONT = 640, 96, 20, 40, 12  # pixels
HEIGHTS = {1: 140, 4: 84, CURVES: 44}  # of a strip, for so many channels at most
PLANE = 240  # pixels, the height of a plane of many channels
TICKS = 8
PALE = 0.75  # of a map's colours: the rest is white, so that the curve stands out
AXIS, WEAK = "#616161", 205


@dataclass(frozen=True)
class TimeAxis:
    """The axis of time of so many samples: in seconds where their number a second is known, else in ``unit``; the first
    of them is sample ``start``."""

    samples: int
    rate: float | None = None
    unit: str = "samples"
    start: int = 0

    @property
    def label(self) -> str:
        """What stands below the axis."""
        return f"time ({'seconds' if self.rate else 'samples'})" if self.rate or self.unit == "samples" else self.unit

    @property
    def length(self) -> float:
        """In the unit of the axis."""
        return self.samples / (self.rate or 1)

    def ticks(self) -> Iterator[float]:
        """Round numbers, a few."""
        rough = self.length / TICKS
        power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
        step = step if self.rate else max(1.0, step)
        first = self.start / (self.rate or 1)
        least = math.ceil(first / step - 1e-9)
        return takewhile(lambda t: t <= first + self.length * (1 + 1e-9), (k * step for k in count(least)))

    def text(self, start: float, end: float) -> str:
        """A stretch of samples in words."""
        start, end = start + self.start, end + self.start
        if self.rate:
            return f"{start / self.rate:.4g} to {end / self.rate:.4g} s"
        one = self.unit.removesuffix("s")
        return f"{one} {start:g}" if end - start <= 1 else f"{self.unit} {start:g} to {end - 1:g}"


def series_picture(
    heat: NDArray,
    curves: NDArray | None,
    scale: ColourScale,
    axis: TimeAxis,
    style: str = "overlay",
    legend: bool = True,
) -> Image.Image:
    """Maps (C, T) or (T,) and curves (C, T) of one example as a picture.

    Styles: "map" leaves out the curves, "masked" the colours: a curve is pale where its map is weak; all others draw
    the curves over the colours. A map (T,) of a layer is stretched over the time of all channels. ``legend``: whether
    the value of the full colour stands below.
    """
    shares = scale(np.atleast_2d(heat))
    rows = len(shares) if curves is None else len(curves)
    if rows > CURVES:
        return _framed([_plane(shares, scale)], [f"{rows} channels"], [None], axis, _legend(scale, legend))
    height = next(pixels for most, pixels in HEIGHTS.items() if rows <= most)
    shown = np.broadcast_to(shares, (rows, shares.shape[1]))
    strips = [_strip(shown[k], None if curves is None else curves[k], scale, style, height) for k in range(rows)]
    names = [f"channel {k}" for k in range(rows)] if rows > 1 else [""]
    ends = [
        None if curves is None or style == "map" else (float(one.min()), float(one.max()))
        for one in (curves if curves is not None else shares)
    ]
    return _framed(strips, names, ends, axis, _legend(scale, legend))


def _legend(scale: ColourScale, shown: bool) -> str:
    return f"full colour: {scale.end:.3g}" if shown else ""


def _strip(shares: Map, curve: NDArray | None, scale: ColourScale, style: str, height: int) -> Image.Image:
    """One channel: its colours, and its curve over them."""
    columns = _columns(shares)
    colours = np.asarray(heatmap.colourise(columns[None], scale.palette), np.float32)
    pale = 255 + PALE * (colours - 255)
    plain = style == "masked"
    strip = Image.fromarray(np.repeat(np.full_like(pale, 255) if plain else pale, height, 0).astype(np.uint8))
    if curve is not None and style != "map":
        strength = np.sqrt(np.abs(columns)) if style == "masked" else np.ones(WIDTH)
        _draw_curve(strip, np.asarray(curve, np.float64), strength)
    return strip


def _columns(shares: Map) -> Map:
    """One value for each column of pixels: of several samples the strongest, so that none is lost."""
    if len(shares) <= WIDTH:
        return shares[np.arange(WIDTH) * len(shares) // WIDTH]
    starts = np.arange(WIDTH) * len(shares) // WIDTH
    high, low = np.maximum.reduceat(shares, starts), np.minimum.reduceat(shares, starts)
    return np.where(high >= -low, high, low)


def _draw_curve(strip: Image.Image, curve: NDArray, strength: NDArray) -> None:
    """The curve in black, paler where the strength is less; of several samples in a column all from low to high."""
    pen, room = ImageDraw.Draw(strip), strip.height - 9
    low, high = curve.min(), curve.max()
    share = (high - curve) / (high - low) if high > low else np.full(len(curve), 0.5)
    heights = 4 + room * share
    edges = np.arange(WIDTH + 1) * len(curve) // WIDTH
    places = (np.arange(len(curve)) + 0.5) * WIDTH / len(curve)
    at = np.interp(np.arange(WIDTH + 1), places, heights)
    for x in range(WIDTH):
        inside = heights[edges[x] : edges[x + 1]] if len(curve) > WIDTH else at[x : x + 2]
        ink = round(WEAK * (1 - float(strength[x])))
        pen.line((x, min(*inside, at[x]), x, max(*inside, at[x])), (ink, ink, ink))


def _plane(shares: Map, scale: ColourScale) -> Image.Image:
    """Many channels as the rows of a picture."""
    plane = heatmap.colourise(np.stack([_columns(one) for one in shares]), scale.palette)
    return plane.resize((WIDTH, max(PLANE, plane.height)), Image.Resampling.NEAREST)


def _framed(
    strips: list[Image.Image],
    names: list[str],
    ends: list[tuple[float, float] | None],
    axis: TimeAxis,
    legend: str,
) -> Image.Image:
    """Strips one below another, their names and smallest and largest values on the left, time and colours below."""
    high = sum(strip.height + 4 for strip in strips) + 4
    sheet = Image.new("RGB", (LEFT + WIDTH + RIGHT, high + FOOT), "white")
    pen, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(FONT), 4
    for strip, name, values in zip(strips, names, ends, strict=True):
        sheet.paste(strip, (LEFT, top))
        pen.rectangle((LEFT - 1, top - 1, LEFT + WIDTH, top + strip.height), outline="#bdbdbd")
        pen.text((LEFT - 6, top + strip.height / 2), name, "black", font, anchor="rm")
        for value, y, anchor in zip(values or (), (top + strip.height, top), ("rb", "rt"), strict=False):
            pen.text((LEFT - 6, y), f"{value:.3g}", AXIS, font, anchor=anchor)
        top += strip.height + 4
    for tick in axis.ticks():
        x = LEFT + WIDTH * (tick - axis.start / (axis.rate or 1)) / axis.length
        pen.line((x, high - 3, x, high + 3), AXIS)
        pen.text((x, high + 5), f"{tick:.6g}", AXIS, font, anchor="mt")
    pen.text((LEFT + WIDTH / 2, high + FOOT - 4), axis.label, "black", font, anchor="mb")
    pen.text((LEFT + WIDTH, high + FOOT - 4), legend, AXIS, font, anchor="rb")
    return sheet
