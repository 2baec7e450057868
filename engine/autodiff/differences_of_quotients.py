"""Differences of what divides by a value that differs, too: quotients, Softmax and normalisations."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .differences import SMALL, Ends, ratio
from .registry import Gradients

__all__ = ["normalised", "quotient", "softened"]


def quotient(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    """a / b: da by the mean of the reciprocals, db by -(a + a') / (2 b b')."""
    (a, a_), (b, b_) = ends.pairs
    da = g.Mul(dy, g.Mul(g.Add(g.Reciprocal(b), g.Reciprocal(b_)), 0.5))
    return [da, g.Neg(g.Mul(dy, g.Div(g.Mul(g.Add(a, a_), 0.5), g.Mul(b, b_))))]


def softened(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    """Softmax is e / s, s the sum of e = exp(x - c), LogSoftmax x - c - log s; both ends share c, their maximum."""
    (x, x_), axes = ends.x, [ends.node.attributes.get_int("axis", -1)]
    most = g.Max(g.ReduceMax(x, axes, keepdims=1), g.ReduceMax(x_, axes, keepdims=1))
    e, e_ = (g.Exp(g.Sub(value, most)) for value in (x, x_))
    s, s_ = (g.ReduceSum(value, axes, keepdims=1) for value in (e, e_))
    slope = ratio(g, g.Sub(e, e_), g.Sub(x, x_), g.Mul(g.Add(e, e_), 0.5), SMALL)
    if ends.node.op_type == "LogSoftmax":
        total = g.Mul(g.ReduceSum(dy, axes, keepdims=1), _log_ratio(g, s, s_))
        return g.Sub(dy, g.Mul(total, slope))
    of_e = g.Mul(dy, g.Mul(g.Add(g.Reciprocal(s), g.Reciprocal(s_)), 0.5))
    total = g.ReduceSum(g.Mul(dy, g.Mul(g.Add(e, e_), 0.5)), axes, keepdims=1)
    return g.Mul(g.Sub(of_e, g.Div(total, g.Mul(s, s_))), slope)


def normalised(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    """u / s times a scale, with u = x - its mean (x for RMSNormalization) and s the root of the mean of u squared.

    The difference of 1 / s is that of the variance over -s s' (s + s'), the difference of u squared is du (u + u').
    """
    node, ((x, x_), (scale, _), *rest) = ends.node, ends.pairs
    rank, per_channel = g.rank(x), node.op_type == "InstanceNormalization"
    axes = list(range(2 if per_channel else node.attributes.get_int("axis", -1) % rank, rank))
    if per_channel:
        scale = g.Reshape(scale, [-1, *[1] * (rank - 2)])
    less = (lambda v: v) if node.op_type == "RMSNormalization" else partial(_centred, g, axes)
    u, u_ = less(x), less(x_)
    s, s_ = (_deviation(g, value, axes, node.attributes.get_float("epsilon", 1e-5)) for value in (u, u_))
    du, mean_u = g.Mul(dy, scale), g.Mul(g.Add(u, u_), 0.5)
    direct = g.Mul(du, g.Mul(g.Add(g.Reciprocal(s), g.Reciprocal(s_)), 0.5))
    of_inverse = g.ReduceMean(g.Mul(du, mean_u), axes, keepdims=1)
    of_variance = g.Div(of_inverse, g.Mul(g.Mul(s, s_), g.Add(s, s_)))
    found = g.Sub(direct, g.Mul(of_variance, g.Mul(mean_u, 2)))
    return [less(found), None, *[None] * len(rest)]


def _centred(g: GraphBuilder, axes: list[int], value: ir.Value) -> ir.Value:
    return g.Sub(value, g.ReduceMean(value, axes, keepdims=1))


def _deviation(g: GraphBuilder, u: ir.Value, axes: list[int], epsilon: float) -> ir.Value:
    return g.Sqrt(g.Add(g.ReduceMean(g.Mul(u, u), axes, keepdims=1), epsilon))


def _log_ratio(g: GraphBuilder, s: ir.Value, s_: ir.Value) -> ir.Value:
    """log(s / s') over s - s'."""
    mean = g.Mul(g.Add(g.Reciprocal(s), g.Reciprocal(s_)), 0.5)
    return ratio(g, g.Sub(g.Log(s), g.Log(s_)), g.Sub(s, s_), mean, SMALL)
