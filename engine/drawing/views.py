"""One example of one input, drawn as it is seen: a picture, a series, a volume, the bars of a table or of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import heatmap
from .bar_chart import Feature, bar_chart, rank_features
from .categories import merge_categories
from .colour_scale import ColourScale, colour_scale
from .kinds import Kind
from .series import TimeAxis, series_picture
from .styles import Look, pictured, smoothed
from .volume import volume_picture

__all__ = ["COLUMNS", "View", "captioned", "cells", "draw", "drawn", "prepared", "scales_of", "sheet", "stacked"]

COLUMNS = 8  # pictures in a row of a sheet
LONGEST = 64  # tokens and places that are drawn; of more the strongest


@dataclass(frozen=True, eq=False)
class View:
    """What is drawn of one example of one input.

    Args:
        kind: How it is seen.
        heat: The map: (H, W) of a picture, (C, T) or (T,) of a series, (D, H, W) of a volume, else a vector.
        picture: What a picture's map is drawn on, or None.
        data: The curves (C, T) of a series, the planes of a volume in bytes, the values of a vector; or None.
        axis: Of a series, its axis of time.
        features: Of a vector or of tokens, its elements by size, with their names; none to have them numbered.
        categories: The one-hot columns of a table that are drawn as one, by its name.
        unit: What these are: "features", "tokens" or "places".
        plain: The palette of a map without values below zero.
        smooth: Whether the map of a picture is coarse, and enlarged without steps.
        mark: Draws on each picture what the score is taken of, such as a box; or None.
        aside: Whether it stands beside a map, and its colours only mark a place.
        from_least: Whether colours begin at the map's least value, as a part of it is the same everywhere.
    """

    kind: Kind
    heat: NDArray
    picture: Image.Image | None = None
    data: NDArray | None = None
    axis: TimeAxis | None = None
    features: Sequence[Feature] = ()
    categories: Mapping[str, Sequence[int]] = field(default_factory=dict)
    unit: str = "features"
    plain: str = "hot"
    smooth: bool = False
    mark: Callable[[Image.Image], Image.Image] | None = None
    aside: bool = False
    from_least: bool = False

    def marked(self, picture: Image.Image) -> Image.Image:
        """A picture with the mark, if there is one."""
        return picture if self.mark is None else self.mark(picture)

    @property
    def smoothed(self) -> View:
        """The view with a map that has no grain; of what is neither a picture nor a volume the same."""
        if self.kind == "picture":
            return replace(self, heat=smoothed(self.heat))
        return replace(self, heat=np.stack([*map(smoothed, self.heat)])) if self.kind == "volume" else self


Views = Mapping[str, View]  # of one example, by input; one input may have the name ""


def prepared(views: Views, look: Look) -> dict[str, View]:
    """The views of one example with the maps that a style draws: some styles take them without their grain."""
    return {name: view.smoothed if look.smooth else view for name, view in views.items()}


def scales_of(examples: Sequence[Views], palette: str | None, percentile: float | None) -> dict[str, ColourScale]:
    """The colours of each input, for all examples on one scale."""
    first = examples[0]
    return {
        name: colour_scale(
            [views[name].heat for views in examples],
            palette or ("bwr" if one.kind == "series" else None),
            percentile,
            plain=one.plain,
            from_least=one.from_least,
        )
        for name, one in first.items()
    }


def drawn(views: Views, scales: Mapping[str, ColourScale], look: Look) -> Image.Image:
    """One example: its only input, or each in its own way, one below another under its name."""
    pictures = [draw(view, scales[name], look) for name, view in views.items()]
    return pictures[0] if len(pictures) == 1 else stacked(pictures, list(views))


def captioned(views: Views, scales: Mapping[str, ColourScale], look: Look, captions: Sequence[str]) -> Image.Image:
    """One example with captions: the first says what is explained, the second the method, the third names an overlay.

    They stand above the cells of a picture; above anything else they are one line.
    """
    (name, view), *others = views.items()
    found = [] if others else cells(view, scales[name], look)
    if view.kind == "picture" and len(found) > 1:
        return heatmap.side_by_side(
            [one for _, one in found], [*captions, *(told for told, _ in found[len(captions) :])][: len(found)]
        )
    line = f"{captions[1]} of {captions[0]}" if len(captions) > 1 else captions[0]
    if view.kind == "picture" and found:
        return heatmap.side_by_side([one for _, one in found], [line])
    return stacked([drawn(views, scales, look)], [line])


def draw(view: View, scale: ColourScale, look: Look) -> Image.Image:
    """The picture of a view; of a figure and a grid the cells side by side."""
    found = cells(view, scale, look)
    return found[0][1] if len(found) == 1 else heatmap.side_by_side([one for _, one in found])


def cells(view: View, scale: ColourScale, look: Look) -> list[tuple[str, Image.Image]]:
    """The pictures that a style shows of a view, by name: for most one; of a figure picture, map and overlay."""
    if view.kind == "picture" and view.picture is not None and look.style in ("figure", "grid"):
        styles = ("map", "overlay") if look.style == "figure" else ("map",)
        maps = [(one, _picture(view, scale, replace(look, style=one))) for one in styles]
        return [("picture", view.marked(heatmap.enlarge(view.picture))), *maps]
    return [(look.style, _DRAWN[view.kind](view, scale, look))]


def sheet(
    examples: Sequence[Views], scales: Sequence[Mapping[str, ColourScale]], look: Look, labels: Sequence[str]
) -> Image.Image:
    """All examples on one picture; of a grid, and of what is no picture, a row for each with its label."""
    pairs = list(zip(examples, scales, strict=True))
    flat = all(view.kind == "picture" for views in examples for view in views.values()) and len(examples[0]) == 1
    if look.style == "grid" and flat:
        rows = [cells(view, scale[name], look) for views, scale in pairs for name, view in views.items()]
        return heatmap.grid([[one for _, one in row] for row in rows], [name for name, _ in rows[0]], labels)
    pictures = [drawn(views, scale, look) for views, scale in pairs]
    if len(pictures) == 1 and look.style != "grid":
        return pictures[0]
    if not flat:
        return stacked(pictures, labels)
    return heatmap.grid([pictures[k : k + COLUMNS] for k in range(0, len(pictures), COLUMNS)])


def stacked(pictures: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """Pictures of any size one below another, each below its caption."""
    rows = [[one] for pair in zip(map(heatmap.caption, captions), pictures, strict=True) for one in pair]
    return heatmap.pasted(rows)


def _series(view: View, scale: ColourScale, look: Look) -> Image.Image:
    axis = view.axis or TimeAxis(view.heat.shape[-1])
    return series_picture(view.heat, view.data, scale, axis, look.style, legend=not view.aside)


def _bars(view: View, scale: ColourScale, look: Look) -> Image.Image:
    numbered = [f"{view.unit.removesuffix('s')} {k}" for k in range(view.heat.size)]
    ranked = view.features or rank_features(view.heat, view.data, numbered)
    if view.unit == "features":
        return bar_chart(merge_categories(ranked, view.categories))
    return bar_chart(ranked, top=LONGEST, unit=view.unit, in_order=True)


def _volume(view: View, scale: ColourScale, look: Look) -> Image.Image:
    return volume_picture(view.heat, view.data, scale, look)


def _picture(view: View, scale: ColourScale, look: Look) -> Image.Image:
    return view.marked(pictured(view.picture, view.heat, scale, look, view.smooth))


_DRAWN: Mapping[str, Callable[[View, ColourScale, Look], Image.Image]] = {
    "picture": _picture,
    "series": _series,
    "volume": _volume,
    "tokens": _bars,
    "vector": _bars,
}
