"""Ways to show a map on a picture: laid over it, beside it, as a mask that darkens it, as lines around the evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..optional import import_extra
from . import heatmap
from .colour_scale import ColourScale
from .heatmap import Map

__all__ = ["LEVELS", "STYLES", "Look", "pictured", "smoothed"]

LEVELS = (0.25, 0.5, 0.75)  # of the scale's end, where lines are drawn
BLUR = 40  # the picture's longer side over the radius of what a mask blurs
GRAIN = 24  # places along the longer side of a map that masks and lines follow
DARK = 0.25  # of the brightness, where a mask leaves nothing
STYLES: Mapping[str, str] = {
    "figure": "picture, map and overlay side by side",
    "overlay": "the map over the picture",
    "map": "the map alone",
    "masked": "the picture, dark and blurred where the map is weak",
    "contour": "the picture with lines at a quarter, half and three quarters of the map's scale",
    "grid": "a row for each example, picture beside map, with the scores",
}


@dataclass(frozen=True)
class Look:
    """How a map is drawn: one of ``STYLES``, and how strongly an overlay covers and fades the picture (0 to 1)."""

    style: str = "overlay"
    alpha: float = 0.7
    fade: float = 0.4

    @property
    def smooth(self) -> bool:
        """Whether maps lose their grain before they are scaled."""
        return self.style in ("masked", "contour")


def pictured(
    picture: Image.Image | None, heat: Map, scale: ColourScale, look: Look, smooth: bool = False
) -> Image.Image:
    """A map (H, W) on a picture by a style of one picture; the map alone where there is no picture.

    ``smooth``: a small picture is enlarged before a coarse map is laid over it, so that the map has no steps.
    """
    shares = scale(heat)
    base = picture or Image.new("RGB", (shares.shape[1], shares.shape[0]))
    base = heatmap.enlarge(base) if smooth else base
    if picture is None or look.style == "map":
        return heatmap.enlarge(heatmap.colourise(heatmap.resize(shares, base.size), scale.palette))
    return heatmap.enlarge(_DRAWN[look.style](base.convert("RGB"), shares, scale, look))


def _overlay(picture: Image.Image, shares: Map, scale: ColourScale, look: Look) -> Image.Image:
    return heatmap.overlay(picture, shares, scale.palette, alpha=look.alpha, fade=look.fade)


def _masked(picture: Image.Image, shares: Map, scale: ColourScale, look: Look) -> Image.Image:
    """The picture as it is where the map is strong, darkened and blurred where it is weak."""
    large = heatmap.enlarge(picture)
    clear = np.sqrt(np.clip(np.abs(heatmap.resize(shares, large.size)), 0, 1))[..., None]
    blurred = np.asarray(large.filter(ImageFilter.GaussianBlur(max(large.size) / BLUR)), np.float32) * DARK
    mixed = blurred + clear * (np.asarray(large, np.float32) - blurred)
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def _contour(picture: Image.Image, shares: Map, scale: ColourScale, look: Look) -> Image.Image:
    """Lines on the enlarged picture where the map crosses a level; those below zero in their own colours."""
    measure = import_extra("skimage.measure", "superpixels")
    drawn = heatmap.enlarge(picture).copy()
    plane = np.pad(heatmap.resize(shares, drawn.size), 1)  # so that lines close at the border
    pen, width = ImageDraw.Draw(drawn), max(2, max(drawn.size) // heatmap.SIDE)
    for level in (*LEVELS, *(-one for one in LEVELS if scale.signed)):
        colour = _line_colour(level, scale.palette)
        for line in measure.find_contours(plane, level):
            points = [(float(x) - 1, float(y) - 1) for y, x in line]
            pen.line(points, "black", width + 2, joint="curve")
            pen.line(points, colour, width, joint="curve")
    return drawn


_DRAWN: Mapping[str, Callable[[Image.Image, Map, ColourScale, Look], Image.Image]] = {
    "overlay": _overlay,
    "masked": _masked,
    "contour": _contour,
}


def smoothed(plane: Map) -> Map:
    """A map (H, W) without the grain of single pixels, which neither a mask nor a line can follow."""
    image = Image.fromarray(plane.astype(np.float32))
    share = min(1.0, GRAIN / max(image.size))
    coarse = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return np.asarray(image.resize(coarse, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR))


def _line_colour(level: float, palette: str) -> tuple[int, ...]:
    found = heatmap.colourise(np.full((1, 1), level, np.float32), palette).getpixel((0, 0))
    return found if isinstance(found, tuple) else (int(found or 0),) * 3
