"""Charts of a run's report: distributions over its samples, and classes by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...drawing.svg_chart import BLUE, GREY, ROW, empty_figure, svg_address
from .run_statistics import ClassMaps

__all__ = ["class_chart", "histogram"]

BINS = 40


def histogram(values: NDArray[np.float32], across: str) -> str:
    """How often which value is found, with lines at the quartiles. Values that are no numbers are left out."""
    finite = values[np.isfinite(values)].astype(np.float64)
    figure, axes = empty_figure(2.6)
    axes.hist(finite, BINS, color=BLUE, alpha=0.85)
    for share in (25, 50, 75) if len(finite) else ():
        axes.axvline(np.percentile(finite, share), color=GREY, linewidth=2 if share == 50 else 1, linestyle="--")
    axes.set_xlabel(f"{across}; lines: quartiles")
    axes.set_ylabel("samples")
    axes.yaxis.get_major_locator().set_params(integer=True)
    return svg_address(figure)


def class_chart(classes: Sequence[ClassMaps]) -> str:
    """The samples of each class."""
    figure, axes = empty_figure(0.9 + ROW * max(3, len(classes)))
    axes.barh(range(len(classes)), [one.count for one in classes], 0.75, color=BLUE, alpha=0.85)
    axes.set_yticks(range(len(classes)), [one.name if len(one.name) <= 28 else f"{one.name[:27]}…" for one in classes])
    axes.invert_yaxis()
    axes.set_xlabel("samples with a map")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return svg_address(figure)
