"""The gradient of a maximum over overlapping windows, in onnxruntime's blocked layout on the CPU."""

from __future__ import annotations

import itertools
import math
from typing import Any

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Node
from ..signs import never_negative
from .blocked import blocked_channels, each_plane, finite, step
from .interleave import next_to_each_other
from .window import Window, remainder, spatial_shape, window_of

__all__ = ["by_taps", "by_taps_pays"]

_LOW = 2.0**127  # below any element of a `finite` image
_FEW = 9  # elements of a window of which each takes some passes
_Pair = tuple[int, int]


def by_taps_pays(g: GraphBuilder, node: Node, x: ir.Value, dy: ir.Value) -> bool:
    """Whether these are overlapping windows of an image in onnxruntime's blocked layout, all within its pads."""
    if (window := _window(node, x)).rank != 2 or window.dilations != (1, 1) or not window.overlaps:
        return False
    if any(k < s for k, s in zip(window.kernel, window.strides, strict=True)):
        return False
    few = math.prod(window.kernel) <= _FEW and not node.attributes.get_int("ceil_mode", 0)
    return few and blocked_channels(g, x) is not None and remainder(x, dy, window) is not None


def by_taps(g: GraphBuilder, node: Node, x: ir.Value, dy: ir.Value) -> ir.Value:
    """dY to the first of a window's elements, in their order, that is the maximum.

    Depthwise convolutions take x apart into its phases modulo the strides, of these the elements of all windows, and
    subtract the maximum. It takes a third of the time of MaxPool with its indices and ScatterElements.
    """
    window, y, reached = _window(node, x), node.outputs[0], spatial_shape(dy) or ()
    image, least, left = finite(g, x), each_plane(g, finite(g, y), [[-1]]), dy
    edge = any(window.pads) and not (never_negative(x) and _is_gated(dy, y))
    phases = {phase: _phase(g, image, window, phase, reached, edge) for phase in _places(window.strides)}
    sums: dict[_Pair, ir.Value] = {}
    *places, last = _places(window.kernel)
    for place in places:
        tap = _tap(g, phases[_modulo(place, window)], place, window, reached)
        part = g.Mul(left, step(g, g.Add(tap, least)))
        _put(g, sums, part, place, window, x)
        left = g.Add(each_plane(g, part, [[-1]]), left)
    _put(g, sums, left, last, window, x)
    return g.shaped_like(_interleaved(g, sums, window, x, dy), x)


def _window(node: Node, x: ir.Value) -> Window:
    return window_of(node, x, node.attributes.get_ints("kernel_shape"))


def _places(sizes: tuple[int, ...]) -> list[_Pair]:
    return [(row, column) for row, column in itertools.product(*map(range, sizes))]


def _modulo(place: _Pair, window: Window) -> _Pair:
    return place[0] % window.strides[0], place[1] % window.strides[1]


def _is_gated(dy: ir.Value, y: ir.Value) -> bool:
    """Whether dY is a product with a step of y, so that it is 0 where a maximum is no more than the pads, 0."""
    made = dy.producer()
    gates = [one.producer() for one in made.inputs if one is not None] if made and made.op_type == "Mul" else []
    return any(gate is not None and gate.op_type == "HardSigmoid" and gate.inputs[0] is y for gate in gates)


def _one(sizes: list[int], place: list[int], value: float = 1.0) -> list[list[float]]:
    """A kernel with one element that is not 0."""
    return [[value * ([i, j] == place) for j in range(sizes[1])] for i in range(sizes[0])]


def _phase(
    g: GraphBuilder, x: ir.Value, window: Window, phase: _Pair, reached: tuple[int, ...], edge: bool
) -> ir.Value:
    """Every element of the padded x that is a stride from the next; ``edge``: with pads that are no maximum.

    A convolution of ones gives 0 inside and the lowest number outside.
    """
    strides, cells = [*window.strides], [n + more for n, more in zip(reached, _more(window, phase), strict=True)]
    ends = [max(0, end) for end in _ends(window, cells, x)]
    how: dict[str, Any] = {"strides": strides, "pads": [*window.begin, *ends]}
    taken = each_plane(g, x, _one(strides, [*phase]), **how)
    if not edge:
        return taken
    ones = g.HardSigmoid(x, alpha=0.0, beta=1.0)
    return g.Add(taken, each_plane(g, ones, _one(strides, [*phase], _LOW), bias=-_LOW, **how))


def _more(window: Window, phase: _Pair) -> list[int]:
    """How many elements of a phase windows have beyond the first of each."""
    return [(k - 1 - p) // s for k, p, s in zip(window.kernel, phase, window.strides, strict=True)]


def _ends(window: Window, cells: list[int], x: ir.Value) -> list[int]:
    """By how many elements so many cells of a stride go beyond the end of x; it may go beyond theirs."""
    each = zip(window.strides, cells, window.begin, spatial_shape(x) or (), strict=True)
    return [s * n - b - size for s, n, b, size in each]


def _tap(g: GraphBuilder, phase: ir.Value, place: _Pair, window: Window, reached: tuple[int, ...]) -> ir.Value:
    """The element at one place of every window."""
    beyond = [n - r + 1 for n, r in zip(spatial_shape(phase) or (), reached, strict=True)]
    return each_plane(g, phase, _one(beyond, [k // s for k, s in zip(place, window.strides, strict=True)]))


def _put(
    g: GraphBuilder, sums: dict[_Pair, ir.Value], part: ir.Value, place: _Pair, window: Window, x: ir.Value
) -> None:
    """Adds what each window gives to one of its elements to the gradient of a phase, which has cells for all phases.

    Along an axis of unit stride it has the elements of x alone.
    """
    phase, whole = _modulo(place, window), _more(window, (0, 0))
    more = _more(window, phase)
    ends = [end if s == 1 else 0 for s, end in zip(window.strides, _ends(window, _cells(window, part), x), strict=True)]
    begin = [b if s == 1 else 0 for s, b in zip(window.strides, window.begin, strict=True)]
    pads = [m - b for m, b in zip(more, begin, strict=True)] + [w - e for w, e in zip(whole, ends, strict=True)]
    unit = _one([m + 1 for m in more], [m - k // s for m, k, s in zip(more, place, window.strides, strict=True)])
    moved = each_plane(g, part, unit, pads=pads)
    sums[phase] = g.Add(moved, sums[phase]) if phase in sums else moved


def _cells(window: Window, dy: ir.Value) -> list[int]:
    """The elements of the longest phase that windows have."""
    return [n + more for n, more in zip(spatial_shape(dy) or (), _more(window, (0, 0)), strict=True)]


def _interleaved(g: GraphBuilder, sums: dict[_Pair, ir.Value], window: Window, x: ir.Value, dy: ir.Value) -> ir.Value:
    """The phases next to each other, without the pads."""
    strides, count, channels = [*window.strides], len(sums), blocked_channels(g, x) or 1
    if count == 1:
        return sums[0, 0]
    stacked = g.Concat(*(g.Unsqueeze(sums[phase], [2]) for phase in _places(window.strides)), axis=2)
    cells = g.Reshape(stacked, [-1, count * channels, *(spatial_shape(sums[0, 0]) or ())])
    begin = [b if s > 1 else 0 for b, s in zip(window.begin, strides, strict=True)]
    ends = [end if s > 1 else 0 for end, s in zip(_ends(window, _cells(window, dy), x), strides, strict=True)]
    return next_to_each_other(
        g, cells, channels, strides,
        pads=[*begin, *(max(0, end) for end in ends)], output_padding=[max(0, -end) for end in ends],
    )  # fmt: skip
