"""Attributions of vectors as horizontal bars: red speaks for the score, blue against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import InputError
from .fonts import font_of

__all__ = ["Feature", "bar_chart", "rank_features"]

FOR, AGAINST, AXIS = "#c62828", "#1565c0", "#9e9e9e"
ROW, FONT, GAP, LONGEST = 24, 14, 12, 320  # pixels


@dataclass(frozen=True)
class Feature:
    """A feature of one example, what it held (None where that is not known), its attribution, and its place."""

    name: str
    value: float | None
    attribution: float
    place: int = 0


def rank_features(
    attribution: NDArray, values: NDArray | None = None, names: Sequence[str] = ()
) -> tuple[Feature, ...]:
    """The features of one example by size of attribution, the largest first; without names they are numbered."""
    numbers = np.asarray(attribution).ravel()
    held = [None] * numbers.size if values is None else np.asarray(values).ravel().tolist()
    if names and len(names) != numbers.size:
        raise InputError(f"{len(names)} names for {numbers.size} features")
    called = list(names) or [f"feature {k}" for k in range(numbers.size)]
    order = np.argsort(-np.abs(numbers), kind="stable")
    return tuple(Feature(called[k], held[k], float(numbers[k]), int(k)) for k in order)


def bar_chart(
    features: Sequence[Feature], title: str = "", *, top: int = 20, unit: str = "features", in_order: bool = False
) -> Image.Image:
    """The strongest features, one row each: name and value, bar from zero, attribution; by size or in their order."""
    shown = sorted(features[:top], key=lambda one: one.place) if in_order else features[:top]
    names = [one.name if one.value is None else f"{one.name} = {one.value:.4g}" for one in shown]
    numbers, font = [f"{one.attribution:+.3g}" for one in shown], font_of(FONT, f"{title}{''.join(names)}")
    name_width, number_width = (round(max(map(font.getlength, texts), default=0)) for texts in (names, numbers))
    caption = f"{title} ({len(shown)} of {len(features)} {unit})" if len(features) > len(shown) else title
    width = max(name_width + LONGEST + number_width + 4 * GAP, round(font.getlength(caption)) + 2 * GAP)
    picture = Image.new("RGB", (width, ROW * (len(shown) + bool(caption)) + 2 * GAP), "white")
    drawing = ImageDraw.Draw(picture)
    drawing.text((GAP, GAP + ROW // 2), caption, "black", font, anchor="lm")
    left, right = name_width + 2 * GAP, width - number_width - 2 * GAP
    zero, scale = _scale([one.attribution for one in shown], left, right)
    for row, (one, name, number) in enumerate(zip(shown, names, numbers, strict=True), start=bool(caption)):
        middle = GAP + ROW * row + ROW // 2
        drawing.text((left - GAP, middle), name, "black", font, anchor="rm")
        ends = sorted((zero, zero + one.attribution * scale))
        drawing.rectangle((ends[0], middle - 8, ends[1], middle + 7), FOR if one.attribution > 0 else AGAINST)
        drawing.text((width - GAP, middle), number, "black", font, anchor="rm")
    drawing.line((zero, GAP + ROW * bool(caption), zero, picture.height - GAP), AXIS)
    return picture


def _scale(numbers: Sequence[float], left: int, right: int) -> tuple[float, float]:
    """Where zero lies, and pixels per unit; zero at an end where all have one sign."""
    low, high = min(0.0, *numbers, 0.0), max(0.0, *numbers, 0.0)
    scale = (right - left) / (high - low) if high > low else 0.0
    return left - low * scale, scale
