"""Differences of a maximum: one that grows is due to what holds it now, one that falls to what held it before."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import same_shape
from .differences import Ends, share_above_zero
from .registry import Gradients

__all__ = ["larger", "pooled"]


def larger(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    """max(a, b) = a + relu(b - a) and min(a, b) = a - relu(a - b), by the rescale rule of Relu."""
    (a, a_), (b, b_) = ends.pairs
    d, d_ = (g.Sub(b, a), g.Sub(b_, a_)) if ends.node.op_type == "Max" else (g.Sub(a, b), g.Sub(a_, b_))
    share = share_above_zero(g, (d, d_), (g.Relu(d), g.Relu(d_)))
    return [g.Mul(dy, g.Sub(1, share)), g.Mul(dy, share)]


def pooled(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    """Over windows or axes: the registry's rule hands each end's part of the difference to what is the maximum there.

    Where x does not differ from its reference, no maximum that it holds does: there the multiplier is the derivative.
    """
    (x, x_), (y, y_), others = ends.x, ends.y, list(ends.node.inputs[1:])
    x_, y_ = (low if same_shape(low, high) else g.expand_like(low, high) for high, low in ((x, x_), (y, y_)))
    change, more = g.Sub(y, y_), "Min" not in ends.node.op_type
    grows, falls = (g.Max(change, 0), g.Min(change, 0)) if more else (g.Min(change, 0), g.Max(change, 0))
    parts = [
        ends.registered(g, g.Mul(dy, part), [at, *others], made)[0]
        for part, at, made in ((grows, x, y), (falls, x_, y_))
    ]
    difference = g.Sub(x, x_)
    none = g.Equal(difference, 0)
    quotient = g.Div(g.Add(*parts), g.Where(none, g.constant(1, x.dtype), difference))
    return [g.Where(none, ends.registered(g, dy, [x, *others])[0], quotient), *[None] * (len(ends.node.inputs) - 1)]
