"""The gradient of a maximum over overlapping windows, in onnxruntime's blocked layout on the CPU."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Node
from .blocked import blocked_channels, each_plane, finite, step
from .window import Window, remainder, spatial_shape, window_of

__all__ = ["by_taps", "by_taps_pays"]

_LOW = 2.0**127  # below any element of a `finite` image
_FEW = 9  # elements of a window of which each takes some passes


def by_taps_pays(g: GraphBuilder, node: Node, x: ir.Value, dy: ir.Value) -> bool:
    """Whether these are overlapping windows of an image in onnxruntime's blocked layout, all within its pads."""
    if (window := _window(node, x)).rank != 2 or window.dilations != (1, 1) or not window.overlaps:
        return False
    few = math.prod(window.kernel) <= _FEW and not node.attributes.get_int("ceil_mode", 0)
    return few and blocked_channels(g, x) is not None and remainder(x, dy, window) is not None


def by_taps(g: GraphBuilder, node: Node, x: ir.Value, dy: ir.Value) -> ir.Value:
    """dY to the first of a window's elements, in their order, that is the maximum.

    Depthwise convolutions take the elements and subtract the maximum. It takes half the time of MaxPool with its
    indices and ScatterElements.
    """
    window, parts = _window(node, x), []
    image, least = finite(g, x), each_plane(g, finite(g, node.outputs[0]), [[-1]])
    image = _with_edge(g, image, window) if any(window.pads) else image
    for tap in np.eye(math.prod(window.kernel)).reshape(-1, *window.kernel)[:-1]:
        below = g.Add(each_plane(g, image, tap, strides=[*window.strides]), least)
        parts.append(g.Mul(dy, step(g, below)))
        dy = g.Add(each_plane(g, parts[-1], [[-1]]), dy)
    return _put_back(g, x, [*parts, dy], window)


def _window(node: Node, x: ir.Value) -> Window:
    return window_of(node, x, node.attributes.get_ints("kernel_shape"))


def _with_edge(g: GraphBuilder, x: ir.Value, window: Window) -> ir.Value:
    """x with pads that are no maximum: a convolution of ones gives 0 inside and the lowest number outside."""
    ones = g.HardSigmoid(x, alpha=0.0, beta=1.0)
    edge = each_plane(g, ones, [[_LOW]], bias=-_LOW, pads=window.pads)
    return g.Add(each_plane(g, x, [[1]], pads=window.pads), edge)


def _put_back(g: GraphBuilder, x: ir.Value, parts: list[ir.Value], window: Window) -> ir.Value:
    """The sum over all windows of what each gives to its elements."""
    count, channels = len(parts), blocked_channels(g, x) or 1
    stacked = g.Concat(*(g.Unsqueeze(part, [2]) for part in parts), axis=2)
    cells = g.Reshape(stacked, [-1, count * channels, *(spatial_shape(parts[0]) or ())])
    units = np.tile(np.eye(count).reshape(count, 1, *window.kernel), (channels, 1, 1, 1))
    rest = remainder(x, parts[0], window)
    dx = g.ConvTranspose(cells, g.constant(units, x.dtype), group=channels, output_padding=rest, **window.attributes())
    return g.shaped_like(dx, x)
