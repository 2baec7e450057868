"""Charts of a report, as SVG that scales: distributions over samples, layers, and the scale of calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...drawing.svg_chart import BLUE, GREY, RED, ROW, empty_figure, svg_address
from ..calibration import Calibration
from ..layers.compare_layers import LayerLoss
from ..summary import Row, rises

__all__ = ["calibration_chart", "curves_chart", "distribution_chart", "layer_chart"]

MOST_LAYERS = 40


def distribution_chart(rows: Sequence[Row], method: str) -> str:
    """The metrics of one method over all samples: a dot each, and their quartiles."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, metric, value in row.values():
            if name == method:
                found.setdefault(metric, []).append(value)
    figure, axes = empty_figure(0.9 + 2 * ROW * len(found))
    labels = [f"{metric} {'→' if rises(metric) else '←'}" for metric in found]
    axes.boxplot(
        list(found.values()), orientation="horizontal", widths=0.6, showfliers=False, tick_labels=labels,
        medianprops={"color": BLUE, "linewidth": 2}, boxprops={"color": GREY}, whiskerprops={"color": GREY},
        capprops={"color": GREY},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for place, values in enumerate(found.values(), start=1):
        shown = values if len(values) <= 400 else rng.choice(values, 400, replace=False)
        axes.plot(shown, place + rng.uniform(-0.2, 0.2, len(shown)), ".", color=BLUE, alpha=0.35, markersize=4)
    axes.invert_yaxis()
    axes.set_xlabel("→ more is better, ← less is better")
    return svg_address(figure)


def layer_chart(layers: Sequence[LayerLoss], breaks: str | None) -> str:
    """Loss of activations and weights by layer, the layer at which evidence breaks in red; the worst of many."""
    shown = [one for one in layers if one.activation is not None or one.weights is not None]
    if len(shown) > MOST_LAYERS:
        sizes = {one.layer: max(one.own or 0, one.weights or 0) for one in shown}
        kept = sorted(sizes, key=lambda name: -sizes[name])[:MOST_LAYERS]
        shown = [one for one in shown if one.layer in kept]
    figure, axes = empty_figure(1.0 + ROW * max(4, len(shown)))
    heights = np.arange(len(shown))
    colours = [RED if one.layer == breaks else BLUE for one in shown]
    axes.barh(heights, [one.activation or 0 for one in shown], 0.75, color=colours, alpha=0.85, label="activations")
    weights = [(k, one.weights) for k, one in enumerate(shown) if one.weights is not None]
    axes.plot([w for _, w in weights], [k for k, _ in weights], "D", color="#222", markersize=4, label="weights")
    axes.margins(y=0.01)
    axes.set_yticks(heights, [_short(one.layer) for one in shown])
    for tick, one in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_color(RED if one.layer == breaks else "black")
    axes.invert_yaxis()
    axes.set_xlabel("relative L2 difference: bar activations, ◆ weights")
    return svg_address(figure)


def calibration_chart(calibration: Calibration) -> str:
    """Where each metric stands between randomised weights, 0, and noise, 1; the median of each method."""
    figure, axes = empty_figure(1.0 + 1.6 * ROW * len(calibration.places))
    for place, (method, found) in enumerate(calibration.places.items()):
        axes.plot([0, 1], [place, place], color="#ddd", linewidth=6, solid_capstyle="round", zorder=1)
        axes.plot(list(found.values()), [place] * len(found), "|", color=GREY, markersize=12, zorder=2)
        if method in calibration.scores:
            axes.plot(calibration.scores[method], place, "o", color=BLUE, markersize=9, zorder=3)
    axes.set_yticks(range(len(calibration.places)), list(calibration.places))
    axes.set_ylim(len(calibration.places) - 0.4, -0.6)
    axes.set_xticks([0, 0.5, 1], ["random weights", "0.5", "noise"])
    axes.set_xlim(-0.12, 1.12)
    return svg_address(figure)


def curves_chart(curves: Mapping[str, Sequence[float]], across: str, up: str) -> str:
    """Mean curves by method over a share from 0 to 1."""
    figure, axes = empty_figure(3.0)
    for name, values in curves.items():
        axes.plot(np.linspace(0, 1, len(values)), values, label=name)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.legend(fontsize=8, frameon=False)
    return svg_address(figure)


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"…{name[-most + 1 :]}"
