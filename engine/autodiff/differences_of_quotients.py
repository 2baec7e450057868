"""Differences of what divides by a value that differs, too: quotients, Softmax and normalisations."""

from __future__ import annotations

from functools import partial
from typing import Any

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
    """LogSoftmax is x - L with L = log(sum(exp(x))), Softmax its Exp.

    No reciprocal of a sum is a factor: sums of both ends with one shift differ by a factor of exp(20) where the largest
    x moves by 20, and float32 has no digits for what is left of their difference.
    """
    (x, x_), (y, y_), axes = ends.x, ends.y, [ends.node.attributes.get_int("axis", -1)]
    tops, highest = ([g.ReduceMax(value, axes, keepdims=1) for value in pair] for pair in ((x, x_), (y, y_)))
    soft = ends.node.op_type == "Softmax"
    in_logs = [g.Log(value) for value in highest] if soft else highest
    of_sum = g.Sub(g.Sub(*tops), g.Sub(*in_logs))  # the difference of L
    difference = g.Sub(x, x_)
    if soft:
        dy = g.Mul(dy, ratio(g, g.Sub(y, y_), g.Sub(difference, of_sum), g.Mul(g.Add(y, y_), 0.5), SMALL))
    share = _share_of_sum(g, (x, x_), g.Max(*tops), axes, of_sum, difference)
    return g.Sub(dy, g.Mul(share, g.ReduceSum(dy, axes, keepdims=1)))


def _share_of_sum(
    g: GraphBuilder, ends: tuple[ir.Value, ir.Value], most: ir.Value, axes: list[int], of_log: Any, difference: Any
) -> ir.Value:
    """The multipliers of log(sum(exp(x))), whose difference is ``of_log``: those of Exp times that of Log."""
    e, e_ = (g.Exp(g.Sub(value, most)) for value in ends)
    s, s_ = (g.ReduceSum(value, axes, keepdims=1) for value in (e, e_))
    mean = g.Mul(g.Add(g.Reciprocal(s), g.Reciprocal(s_)), 0.5)
    of_exp = ratio(g, g.Sub(e, e_), difference, g.Mul(g.Add(e, e_), 0.5), SMALL)
    return g.Mul(of_exp, ratio(g, of_log, g.Sub(s, s_), mean, SMALL))


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
