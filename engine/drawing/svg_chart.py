"""Charts of a page as SVG that scales: an empty figure, and the address that holds a finished one."""

from __future__ import annotations

import base64
import io
from typing import Any

from ..optional import import_extra

__all__ = ["BLUE", "GREY", "RED", "ROW", "WIDTH", "empty_figure", "picture_figure", "svg_address"]

BLUE, RED, GREY = "#2166ac", "#b2182b", "#8a8a8a"
WIDTH = 4.6  # inches: so that letters can be read on a phone
ROW = 0.26  # inches: the height of a bar


def empty_figure(height: float) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes. Raises RuntimeUnavailable without matplotlib."""
    figure = import_extra("matplotlib.figure").Figure((WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure, axes


def picture_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many inches that is axes without a frame. Raises RuntimeUnavailable without matplotlib."""
    figure = import_extra("matplotlib.figure").Figure((width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def svg_address(figure: Any) -> str:
    """The figure as the address of an image; without a date, so that the same chart is the same text."""
    with import_extra("matplotlib").rc_context({"svg.fonttype": "path", "svg.hashsalt": "onnxray"}):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
