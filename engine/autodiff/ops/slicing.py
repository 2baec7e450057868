"""Operators that cut tensors apart, join them and put margins round them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of, static_shape
from ..registry import Gradients, Node, vjp
from .scatter import element_numbers, scatter_flat, sizes, zeros

__all__ = ["between_margins", "spread"]

_FAR = int(np.iinfo(np.int64).max)


@vjp("Concat")
def concat(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    axis = node.attributes.get_int("axis")
    if len(node.inputs) == 1:
        return dy
    parts = g.vector([g.dim(x, axis) for x in node.inputs])
    return g.Split(dy, parts, axis=axis, outputs=len(node.inputs))


@vjp("Split")
def split(g: GraphBuilder, node: Node, *dys: ir.Value | None) -> Gradients:
    arrived = next(dy for dy in dys if dy is not None)
    parts = [zeros(g, y, arrived) if dy is None else dy for y, dy in zip(node.outputs, dys, strict=True)]
    dx = g.Concat(*parts, axis=node.attributes.get_int("axis", 0))
    return [dx, None][: len(node.inputs)]


@vjp("Slice")
def slice_(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Margins of zeros round the gradient, and between its elements for a step; computed axes move element numbers."""
    (x, starts, ends), (axes, steps) = node.inputs[:3], (*node.inputs[3:], None, None)[:2]
    around = [None] * (len(node.inputs) - 1)
    along = _axes(g, x, starts, axes)
    spans = _spans(x, along, [constant_of(v) for v in (starts, ends)], _steps(steps, along))
    if spans is not None:
        return spread(g, x, dy, spans), *around
    if along is not None and set(_steps(steps, along) or [0]) == {1}:
        return between_margins(g, x, dy, starts, g.constant(along, ir.DataType.INT64)), *around
    numbers = g.Slice(element_numbers(g, x), starts, ends, axes, steps)
    return scatter_flat(g, x, numbers, dy), *around


def _axes(g: GraphBuilder, x: ir.Value, starts: ir.Value, axes: ir.Value | None) -> list[int] | None:
    """The axes of a Slice: the first ones, unless it names them."""
    known, count = constant_of(axes), static_shape(starts)
    if axes is None:
        return None if count is None else list(range(count[0]))
    return None if known is None else [axis % g.rank(x) for axis in known.tolist()]


def _steps(steps: ir.Value | None, axes: list[int] | None) -> list[int] | None:
    known = constant_of(steps)
    if steps is None and axes is not None:
        return [1] * len(axes)
    return None if known is None else known.tolist()


def _spans(
    x: ir.Value, axes: list[int] | None, ends: Sequence[np.ndarray | None], steps: list[int] | None
) -> dict[int, range] | None:
    """The slice of each axis that a Slice takes, where that is known."""
    first, last = ends
    if axes is None or steps is None or first is None or last is None or x.shape is None:
        return None
    lengths = [n for axis in axes if isinstance(n := x.shape[axis], int)]
    if len(lengths) < len(axes):
        return None
    cuts = zip(axes, first.tolist(), last.tolist(), steps, lengths, strict=False)
    return {axis: _taken(start, end, step, n) for axis, start, end, step, n in cuts}


def _taken(start: int, end: int, step: int, n: int) -> range:
    """What a Slice takes of n elements. Backwards, it starts at one of them, where Python's slice may start before."""
    least, most = (0, n) if step > 0 else (-1, n - 1)
    first, last = (at + n if at < 0 else at for at in (start, end))
    return range(min(max(first, 0), most), min(max(last, least), most), step)


def spread(g: GraphBuilder, x: ir.Value, dy: ir.Value, spans: dict[int, range]) -> ir.Value:
    """Puts the elements of dy where ``spans`` took them from, zeros elsewhere."""
    if not all(spans.values()):
        return zeros(g, x, dy)
    dy = _reverse(g, dy, [axis for axis, span in spans.items() if span.step < 0])
    dy = _dilate(g, dy, {axis: span for axis, span in sorted(spans.items()) if abs(span.step) > 1})
    axes, length = list(spans), {k: n for k, n in enumerate(x.shape or ()) if isinstance(n, int)}
    before = [min(span, default=0) for span in spans.values()]
    after = [
        length[axis] - start - len(span) * abs(span.step)
        for start, (axis, span) in zip(before, spans.items(), strict=True)
    ]
    dy = (
        g.Pad(dy, [*before, *(max(n, 0) for n in after)], None, axes)
        if any(before) or max(after, default=0) > 0
        else dy
    )
    over = [axis for axis, n in zip(axes, after, strict=True) if n < 0]
    return g.Slice(dy, [0] * len(over), [length[axis] for axis in over], over) if over else dy


def _reverse(g: GraphBuilder, x: ir.Value, axes: Sequence[int]) -> ir.Value:
    n = len(axes)
    return g.Slice(x, [-1] * n, [-_FAR] * n, list(axes), [-1] * n) if axes else x


def _dilate(g: GraphBuilder, x: ir.Value, spans: dict[int, range]) -> ir.Value:
    """Puts step - 1 zeros behind every element along each axis."""
    if not spans:
        return x
    steps = [abs(span.step) for span in spans.values()]
    inner = [axis + k + 1 for k, axis in enumerate(spans)]
    apart = g.Pad(g.Unsqueeze(x, inner), [*[0] * len(steps), *(step - 1 for step in steps)], None, inner)
    lengths = {axis: len(span) * abs(span.step) for axis, span in spans.items()}
    return g.reshape(apart, [lengths.get(axis, n) for axis, n in enumerate(sizes(g, x))])


def between_margins(g: GraphBuilder, x: ir.Value, dy: ir.Value, starts: ir.Value, axes: ir.Value) -> ir.Value:
    """The adjoint of a Slice of step 1 whose sizes only the run will tell."""
    length = g.Gather(g.shape(x), axes)
    free = g.Sub(length, g.Gather(g.shape(dy), axes))
    start = g.Cast(starts, to=ir.DataType.INT64) if starts.dtype != ir.DataType.INT64 else starts
    before = g.Where(g.Less(start, 0), g.Add(start, length), start)
    before = g.Max(g.Min(before, free), 0)
    return g.Pad(dy, g.Concat(before, g.Sub(free, before), axis=0), None, axes)


@vjp("Pad")
def pad(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Constant: cuts the margins off, what lay in them goes to the constant. Else moves element numbers."""
    (x, pads), (constant, axes) = node.inputs[:2], (*node.inputs[2:], None, None)[:2]
    mode = node.attributes.get_string("mode", "constant")
    if mode != "constant":
        numbers = g.Pad(element_numbers(g, x), pads, None, axes, mode=mode)
        return scatter_flat(g, x, numbers, dy), *[None] * (len(node.inputs) - 1)
    dx = _without_margins(g, dy, pads, axes)
    outside = None
    if constant is not None:
        total = g.Sub(g.ReduceSum(dy, keepdims=0), g.ReduceSum(dx, keepdims=0))
        outside = g.reshape_like(total, constant)
    return [dx, None, outside, None][: len(node.inputs)]


def _without_margins(g: GraphBuilder, dy: ir.Value, pads: ir.Value, axes: ir.Value | None) -> ir.Value:
    """Cuts off what positive pads added; puts zeros for what negative ones cut off."""
    known = constant_of(pads)
    if known is None:
        added, cut = g.Max(pads, 0), g.Max(g.Neg(pads), 0)
        before, after = g.Split(added, num_outputs=2, outputs=2)
        ends = g.Where(g.Greater(after, 0), g.Neg(after), _FAR)
        return g.Pad(g.Slice(dy, before, ends, axes), cut, None, axes)
    before, after = np.split(known.clip(min=0), 2)
    if known.max(initial=0) > 0:
        dy = g.Slice(dy, before, np.where(after > 0, -after, _FAR), axes)
    return g.Pad(dy, (-known).clip(min=0), None, axes) if known.min(initial=0) < 0 else dy
