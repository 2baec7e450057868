"""Fourier transforms: linear, so that the gradient is the transform with conjugate factors.

A real result is the real part of a complex one, and a one-sided one its first half: their gradients are filled up with
zeros. The standard's inverse transform divides by the length n, hence conj(F)^T = n F^-1.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, vjp
from .scatter import scatter_flat


@vjp("DFT")
def dft(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, around = node.inputs[0], [None] * (len(node.inputs) - 1)
    inverse, onesided = (node.attributes.get_int(name, 0) for name in ("inverse", "onesided"))
    axis, given = _axis(g, node), node.inputs[1] if len(node.inputs) > 1 else None
    if inverse and onesided:
        return _fit(g, _half_spectrum(g, dy, axis), x, axis), *around
    length = _size(g, x, axis) if given is None else g.Reshape(given, [1])
    back = _transform(g, dy, length, axis, inverse=1 - inverse)
    n = g.Cast(length, to=dy.dtype)
    whole = _parts_like(g, g.Div(back, n) if inverse else g.Mul(back, n), x)
    return whole if given is None else _fit(g, whole, x, axis), *around


def _half_spectrum(g: GraphBuilder, dy: ir.Value, axis: ir.Value) -> ir.Value:
    """The inverse of half a spectrum sums each bin and its mirror image, but for those that are their own."""
    length = _size(g, dy, axis)
    found = _transform(g, dy, length, axis, inverse=0, onesided=1)
    bins = _count(g, _size(g, found, axis))
    alone = g.Or(g.Equal(bins, 0), g.Equal(g.Mul(bins, 2), length))
    share = g.Div(g.Where(alone, g.constant(1, dy.dtype), g.constant(2, dy.dtype)), g.Cast(length, to=dy.dtype))
    column = g.ScatterElements(g.constant([1] * g.rank(dy), ir.DataType.INT64), axis, [-1])
    return g.Mul(found, g.Reshape(share, column))


def _axis(g: GraphBuilder, node: Node) -> ir.Value:
    """As a vector of one: an attribute before opset 20, an input since."""
    given = node.inputs[2] if len(node.inputs) > 2 else None
    if given is not None:
        return g.Reshape(given, [1])
    return g.constant([node.attributes.get_int("axis", 1 if g.opset < 20 else -2)], ir.DataType.INT64)


def _size(g: GraphBuilder, x: ir.Value, axis: ir.Value) -> ir.Value:
    return g.Gather(g.shape(x), axis)


def _transform(
    g: GraphBuilder, x: ir.Value, length: ir.Value, axis: ir.Value, inverse: int, onesided: int = 0
) -> ir.Value:
    scalar: Any = g.constant([], ir.DataType.INT64)
    n = g.Reshape(length, scalar)
    if g.opset >= 20:
        return g.DFT(x, n, g.Reshape(axis, scalar), inverse=inverse, onesided=onesided)
    known = constant_of(axis)
    return g.DFT(x, n, axis=None if known is None else int(known[0]), inverse=inverse, onesided=onesided)


def _parts_like(g: GraphBuilder, value: ir.Value, x: ir.Value) -> ir.Value:
    """The real part, where x is real."""
    return g.Slice(value, [0], [1], [-1]) if g.dim(x, -1) == 1 else value


def _fit(g: GraphBuilder, value: ir.Value, x: ir.Value, axis: ir.Value) -> ir.Value:
    """The part of x that was transformed, and zeros for the part that was cut off."""
    size, none = _size(g, x, axis), g.constant([0], ir.DataType.INT64)
    missing = g.Max(g.Sub(size, _size(g, value, axis)), 0)
    padded = g.Pad(value, g.Concat(none, missing, axis=0), None, axis)
    return g.shaped_like(g.Slice(padded, none, size, axis), x)


@vjp("STFT")
def stft(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Frames times the window, transformed: back come windowed frames that are added up where they overlap."""
    signal, step = node.inputs[:2]
    (window, length), around = (*node.inputs[2:], None, None)[:2], [None] * (len(node.inputs) - 1)
    size = g.Shape(window) if length is None else g.Reshape(length, [1])
    back = _parts_like(
        g,
        g.Mul(_transform(g, dy, size, g.constant([2], ir.DataType.INT64), inverse=1), g.Cast(size, to=dy.dtype)),
        signal,
    )
    at = _frame_places(g, signal, step, size, g.Shape(dy, start=1, end=2))
    if window is not None:
        read = g.Reshape(g.Gather(signal, g.Reshape(at, [-1]), axis=1), g.Shape(back))
        d_window = g.ReduceSum(g.Mul(back, read), [0, 1, 3], keepdims=0)
        around[1] = d_window
        back = g.Mul(back, g.Unsqueeze(window, [1]))
    return _add_frames(g, signal, back, at), *around


def _frame_places(g: GraphBuilder, signal: ir.Value, step: ir.Value, size: ir.Value, count: ir.Value) -> ir.Value:
    """Where in the signal each element of each frame lies."""
    start = g.Mul(_count(g, count), g.Cast(g.Reshape(step, [1]), to=ir.DataType.INT64))
    return g.Add(g.Unsqueeze(start, [1]), _count(g, size))


def _count(g: GraphBuilder, n: ir.Value) -> ir.Value:
    return g.Range(0, g.Reshape(g.Cast(n, to=ir.DataType.INT64), g.constant([], ir.DataType.INT64)), 1)


def _add_frames(g: GraphBuilder, signal: ir.Value, frames: ir.Value, at: ir.Value) -> ir.Value:
    """Overlap-add, element by element: row numbers of (batch, time), parts behind."""
    batch, time, parts = (g.Shape(signal, start=k, end=k + 1) for k in range(3))
    rows = g.Add(g.Unsqueeze(g.Mul(_count(g, batch), time), [1, 2]), at)
    numbers = g.Add(g.Mul(g.Unsqueeze(rows, [3]), parts), _count(g, parts))
    return scatter_flat(g, signal, numbers, frames)
