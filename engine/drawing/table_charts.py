"""Charts of a table: what the bars of one row are of, and a beeswarm of all rows beside each column's mean size."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError
from ..optional import import_extra
from .bar_chart import rank_features
from .categories import one_hot_columns
from .views import View

__all__ = ["TableChart", "chart_of", "rows_title"]

MOST = 20  # columns that are drawn
WIDTH, ROW, DPI = 9.0, 0.36, 100  # inches, and pixels of an inch
RED, GREY = "#c62828", "#9e9e9e"
BINS, SWARM = 60, 0.4  # places along a row of the swarm, and half its height


@dataclass(frozen=True, eq=False)
class TableChart:
    """Attributions (rows, columns) with the names of the columns and what the rows hold, where that is known."""

    attributions: NDArray
    held: NDArray | None = None
    names: tuple[str, ...] = ()

    def named(self, view: View) -> View:
        """The view of a row with the names of the columns, of which one-hot columns are drawn as one."""
        if view.kind != "vector":
            return view
        return replace(view, features=rank_features(view.heat, view.data, self._called), categories=self.categories)

    def beeswarm(self, title: str = "") -> Image.Image:
        """The columns of largest mean magnitude: a dot for each row, coloured by what the row holds, and the means.

        Dots are grey where columns hold categories, or what they hold is missing or not known.
        """
        if not np.isfinite(self.attributions).all():
            raise InputError("attributions with NaN or infinity cannot be drawn")
        figures = import_extra("matplotlib.figure", "charts")
        names, values, held = self._columns()
        means = np.abs(values).mean(0)
        shown = np.argsort(-means, kind="stable")[:MOST]
        figure = figures.Figure((WIDTH, 1.4 + ROW * len(shown)), layout="constrained")
        swarm, bars = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        swarm.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        dots = None
        for place, column in enumerate(shown):
            heights, ranks = place + SWARM * _spread(values[:, column]), _ranks(held[:, column])
            known = ~np.isnan(ranks)
            if not known.all():
                swarm.scatter(values[~known, column], heights[~known], s=9, color=GREY)
            if known.any():
                colours = {"c": ranks[known], "cmap": "coolwarm", "vmin": 0, "vmax": 1}
                dots = swarm.scatter(values[known, column], heights[known], s=9, **colours)
        swarm.set_yticks(range(len(shown)), [names[column] for column in shown])
        swarm.set_xlabel("attribution of each row")
        bars.barh(range(len(shown)), means[shown], 0.7, color=RED)
        bars.bar_label(bars.containers[0], [f"{mean:.3g}" for mean in means[shown]], padding=3)
        bars.margins(x=0.4)
        bars.set_xlabel("mean magnitude")
        swarm.invert_yaxis()
        if dots is not None:
            scale = figure.colorbar(dots, ax=swarm, ticks=[0, 1], aspect=40)
            scale.ax.set_yticklabels(["low", "high"])
            scale.ax.set_title("value", fontsize="medium")
        more = f" ({len(shown)} of {len(names)} columns)" if len(names) > len(shown) else ""
        figure.suptitle(f"{title}{more}")
        return _picture(figure)

    @property
    def _called(self) -> list[str]:
        count = self.attributions.shape[1]
        return list(self.names) if len(self.names) == count else [f"feature {k}" for k in range(count)]

    @cached_property
    def categories(self) -> dict[str, list[int]]:
        """The one-hot columns by the name of what they stand for."""
        return one_hot_columns(self._called, self.held)

    def _columns(self) -> tuple[list[str], NDArray, NDArray]:
        """The names, attributions and values of the columns, NaN where these are no amounts; one-hot columns as one."""
        unknown = np.full(len(self.attributions), np.nan)
        first = {places[0]: name for name, places in self.categories.items()}
        inner = {place for places in self.categories.values() for place in places[1:]}
        names, values, rows = list[str](), list[NDArray](), list[NDArray]()
        for k, name in enumerate(self._called):
            if k in inner:
                continue
            places = self.categories[first[k]] if k in first else [k]
            names.append(first.get(k, name))
            values.append(self.attributions[:, places].sum(1))
            rows.append(unknown if k in first or self.held is None else self.held[:, k])
        return names, np.stack(values, 1), np.stack(rows, 1)


def chart_of(values: Any, inputs: Mapping[str, NDArray], columns: tuple[str, ...]) -> TableChart | None:
    """The chart of a table's values, if they are in the shape of the only input and that is rows of columns."""
    rows = next(iter(inputs.values()), None) if len(inputs) == 1 else None
    flat = rows is not None and rows.ndim == 2 and np.shape(values) == rows.shape
    return TableChart(np.asarray(values), rows, columns) if flat else None


def rows_title(method: str, targets: NDArray) -> str:
    """What a chart of all rows is of."""
    same = ",".join(f"{number:g}" for number in np.ravel(targets[:1]))
    told = "each for its own target" if len(np.unique(targets, axis=0)) > 1 else f"target {same}"
    return f"{method} of {len(targets)} rows, {told}"


def _spread(values: NDArray) -> NDArray:
    """Heights from -1 to 1: dots at one place lie over and under each other, so that many make the swarm thick."""
    low, high = values.min(), values.max()
    bins = np.zeros(len(values), int) if high == low else np.round(BINS * (values - low) / (high - low)).astype(int)
    order = np.argsort(bins, kind="stable")
    layer = np.arange(len(values)) - np.searchsorted(bins[order], bins[order])
    signed = np.where(layer % 2, 1, -1) * ((layer + 1) // 2)
    heights = np.empty(len(values))
    heights[order] = signed / max(1, np.abs(signed).max())
    return heights


def _ranks(values: NDArray) -> NDArray:
    """What rows hold, from 0 to 1 between the 5th and the 95th percentile; 0.5 where all hold the same, NaN stays."""
    if np.isnan(values).all():
        return values
    low, high = np.nanpercentile(values, [5, 95])
    low, high = (low, high) if high > low else (np.nanmin(values), np.nanmax(values))
    return values * 0 + 0.5 if high == low else np.clip((values - low) / (high - low), 0, 1)


def _picture(figure: object) -> Image.Image:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=DPI)  # type: ignore[attr-defined]
        return Image.open(file).convert("RGB")
