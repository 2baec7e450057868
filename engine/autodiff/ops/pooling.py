"""Pools of whole planes, and means. A maximum shared by several elements sends its gradient to the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp
from .blocked import expanded_in_blocks
from .convolution import input_gradient
from .scatter import zeros
from .window import Window, spatial_shape, window_of


@vjp("GlobalMaxPool")
def global_max_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    flat = g.Reshape(x, [0, 0, -1])
    first = g.ArgMax(flat, axis=2, keepdims=1)
    return g.reshape_like(g.ScatterElements(zeros(g, flat, dy), first, g.Reshape(dy, [0, 0, -1]), axis=2), x)


@vjp("GlobalAveragePool")
def global_average_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    sizes = spatial_shape(x)
    area = math.prod(sizes) if sizes else g.CastLike(g.ReduceProd(g.Shape(x, start=2), keepdims=0), x)
    return expanded_in_blocks(g, g.Div(dy, area), x)


@vjp("AveragePool")
def average_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The adjoint of a window's sum, of dY over the number of elements that the window counts."""
    (x,) = node.inputs
    window = covering_window(node, x)
    return spread_windows(g, x, g.Div(dy, _count(g, node, x, window)), window)


def spread_windows(g: GraphBuilder, x: ir.Value, share: ir.Value, window: Window) -> ir.Value:
    """The adjoint of a sum over windows of x."""
    ones = g.constant(np.ones((1, 1, *window.kernel)), x.dtype)
    planes = g.Reshape(x, g.vector([-1, 1, *(g.dim(x, k) for k in range(2, g.rank(x)))]))
    shares = g.Reshape(share, g.vector([-1, 1, *(g.dim(share, k) for k in range(2, g.rank(share)))]))
    return g.reshape_like(input_gradient(g, planes, ones, shares, window), x)


def covering_window(node: Node, x: ir.Value) -> Window:
    """A pool's window with pads at the end that reach as far as the last window does.

    It reaches beyond x in ceil_mode; and onnxruntime makes one window of a kernel that is larger than x by less than a
    stride.
    """
    window = window_of(node, x, node.attributes.get_ints("kernel_shape"))
    sizes, made = spatial_shape(x), spatial_shape(node.outputs[0])
    if not node.attributes.get_int("ceil_mode", 0):
        return window if sizes is None else _reaching(window, sizes, [1] * window.rank, window.end)
    if sizes is None or made is None:
        raise ValueError("ceil_mode needs a spatial size that is known before the model runs")
    return _reaching(window, sizes, made, [0] * window.rank)


def _reaching(window: Window, sizes: Sequence[int], made: Sequence[int], least: Sequence[int]) -> Window:
    """The window with pads at the end, at least these, up to the last element of as many windows as are made."""
    places = zip(window.strides, made, window.span, sizes, window.begin, least, strict=True)
    return replace(window, end=tuple(max(s * (o - 1) + span - n - b, e) for s, o, span, n, b, e in places))


def _count(g: GraphBuilder, node: Node, x: ir.Value, window: Window) -> float | ir.Value:
    """How many elements each window counts: their sum over ones, by what the pool itself makes of ones.

    Where the size of x is open, a kernel may be larger than x: then the Conv fails, and no wrong count is taken.
    """
    if not any(window.pads) and spatial_shape(x) is not None:
        return math.prod(window.kernel)
    plane = g.Slice(x, [0, 0], [1, 1], [0, 1])
    ones = g.Expand(g.constant(1, x.dtype), g.shape(plane))
    total = g.Conv(ones, g.constant(np.ones((1, 1, *window.kernel)), x.dtype), **window.attributes())
    return g.Div(total, g.AveragePool(ones, **node.attributes))
