"""Activations. Each derivative is 0 at a kink that Relu has, as Relu'(0) = 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, Unsettled, vjp
from ..signs import STEEP, kept_where, takes_steps
from .blocked import within, within_pays

__all__ = ["where_positive"]


@vjp("Relu")
def relu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return where_positive(g, node.outputs[0], dy)


def where_positive(g: GraphBuilder, y: ir.Value, dy: ir.Value) -> ir.Value:
    """dy where y > 0, which is the output of a Relu, else 0."""
    return _gate(g, y, dy, 0.0, math.inf)


@vjp("Clip")
def clip(g: GraphBuilder, node: Node, dy: ir.Value) -> Unsettled:
    """dx is dy strictly inside; a bound gets the sum of dy that it cut off; where low >= high, high gets all of it."""
    x, low, high = (*node.inputs, None, None)[:3]
    bounds = [constant_of(bound) for bound in (low, high)]
    if all(bound is None or constant is not None for bound, constant in zip((low, high), bounds, strict=True)):
        ends = [
            end if c is None else float(c.reshape(())) for c, end in zip(bounds, (-math.inf, math.inf), strict=True)
        ]
        dx = _gate(g, node.outputs[0], dy, *ends)
    else:
        dx = _gate_between(g, x, dy, low, high)
    return [dx, lambda: _cut_below(g, x, dy, low, high), lambda: _cut_above(g, x, dy, low, high)]


def _cut_below(g: GraphBuilder, x: Any, dy: ir.Value, low: Any, high: Any) -> ir.Value:
    beyond = g.LessOrEqual(x, low) if high is None else g.And(g.LessOrEqual(x, low), g.Less(low, high))
    return _total(g, g.Where(beyond, dy, 0), low)


def _cut_above(g: GraphBuilder, x: Any, dy: ir.Value, low: Any, high: Any) -> ir.Value:
    cut = x if low is None else g.Max(x, low)
    return _total(g, g.Where(g.GreaterOrEqual(cut, high), dy, 0), high)


def _gate(g: GraphBuilder, y: ir.Value, dy: ir.Value, low: float, high: float) -> ir.Value:
    """dy where low < y < high.

    On the CPU as steep HardSigmoids, which, other than Where, stay in onnxruntime's blocked layout: one for each bound,
    or one for both.
    """
    if low == 0 and within_pays(g, y, high):
        return g.Mul(dy, within(g, y, high))
    sides = [(1.0, -low)] * (low > -math.inf) + [(-1.0, high)] * (high < math.inf)
    if takes_steps(g, y) and all(abs(end) <= 64 for _, end in sides):
        for sign, end in sides:
            dy = g.Mul(dy, g.HardSigmoid(y, alpha=sign * STEEP, beta=end * STEEP))
        return dy
    if g.lowering == "portable" and y.dtype == ir.DataType.FLOAT and len(sides) == 2:
        closest = _one_closer(low, high)
        if closest[0] <= closest[1]:
            return kept_where(g, g.Equal(y, g.Clip(y, *closest)), dy)
    inside = [g.Greater(y, -end) if sign > 0 else g.Less(y, end) for sign, end in sides]
    return kept_where(g, g.And(*inside), dy) if inside else dy


def _one_closer(low: float, high: float) -> list[np.float32]:
    """The float32 numbers next to two bounds: what clipping to them does not change lies strictly between the bounds.

    This one comparison takes OpenVINO half the time of two. A denormal number beside 0, which runtimes may take for 0,
    counts as 0.
    """
    tiny = np.finfo(np.float32).tiny
    ends = np.nextafter(np.array([low, high], np.float32), np.array([math.inf, -math.inf], np.float32))
    return [np.copysign(max(abs(end), tiny), end) for end in ends]


def _gate_between(
    g: GraphBuilder, x: ir.Value | None, dy: ir.Value, low: ir.Value | None, high: ir.Value | None
) -> ir.Value:
    dy = dy if low is None else g.Where(g.Greater(x, low), dy, 0)
    return dy if high is None else g.Where(g.Less(x, high), dy, 0)


def _total(g: GraphBuilder, value: ir.Value, scalar: ir.Value) -> ir.Value:
    return g.reshape_like(g.ReduceSum(value, keepdims=0), scalar)


@vjp("LeakyRelu")
def leaky_relu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    alpha = node.attributes.get_float("alpha", 0.01)
    return g.Where(g.Greater(node.inputs[0], 0), dy, g.Mul(dy, alpha))


@vjp("PRelu")
def prelu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, slope = node.inputs
    positive = g.Greater(x, 0)
    return g.Where(positive, dy, g.Mul(dy, slope)), g.Where(positive, 0, g.Mul(dy, x))


@vjp("ThresholdedRelu")
def thresholded_relu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Where(g.Greater(node.inputs[0], node.attributes.get_float("alpha", 1.0)), dy, 0)


@vjp("Elu")
def elu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y + alpha = alpha exp(x) on the negative side."""
    alpha = node.attributes.get_float("alpha", 1.0)
    return g.Where(g.Greater(node.inputs[0], 0), dy, g.Mul(dy, g.Add(node.outputs[0], alpha)))


@vjp("Selu")
def selu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """gamma, and y + gamma alpha on the negative side."""
    alpha = node.attributes.get_float("alpha", 1.67326319217681884765625)
    gamma = node.attributes.get_float("gamma", 1.05070102214813232421875)
    negative = g.Add(node.outputs[0], gamma * alpha)
    return g.Mul(dy, g.Where(g.Greater(node.inputs[0], 0), gamma, negative))


@vjp("Celu")
def celu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """exp(x/alpha) = y/alpha + 1 on the negative side."""
    alpha = node.attributes.get_float("alpha", 1.0)
    return g.Where(g.Greater(node.inputs[0], 0), dy, g.Mul(dy, g.Add(g.Div(node.outputs[0], alpha), 1)))


@vjp("Sigmoid")
def sigmoid(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (y,) = node.outputs
    return g.Mul(dy, g.Mul(y, g.Sub(1, y)))


@vjp("Tanh")
def tanh(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (y,) = node.outputs
    return g.Mul(dy, g.Sub(1, g.Mul(y, y)))


@vjp("HardSigmoid")
def hard_sigmoid(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return _gate(g, node.outputs[0], g.Mul(dy, node.attributes.get_float("alpha", 0.2)), 0.0, 1.0)


@vjp("HardSwish")
def hard_swish(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """x/3 + 1/2 between -3 and 3, 0 below and 1 above."""
    (x,) = node.inputs
    inside = g.Add(g.Div(x, 3), 0.5)
    return g.Mul(dy, g.Where(g.Less(x, 3), g.Where(g.Greater(x, -3), inside, 0), 1))


@vjp("Softplus")
def softplus(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(dy, g.Sigmoid(node.inputs[0]))


@vjp("Softsign")
def softsign(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    width = g.Add(1, g.Abs(node.inputs[0]))
    return g.Div(dy, g.Mul(width, width))


@vjp("Mish")
def mish(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y = x t with t = tanh(softplus(x)), so y' = t + x (1 - t^2) sigmoid(x)."""
    (x,) = node.inputs
    t = g.Tanh(g.Softplus(x))
    return g.Mul(dy, g.Add(t, g.Mul(x, g.Sigmoid(x), g.Sub(1, g.Mul(t, t)))))


@vjp("Swish")
def swish(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y = x s with s = sigmoid(alpha x), so y' = s + alpha y (1 - s)."""
    alpha = node.attributes.get_float("alpha", 1.0)
    s = g.Sigmoid(g.Mul(alpha, node.inputs[0]))
    return g.Mul(dy, g.Add(s, g.Mul(alpha, node.outputs[0], g.Sub(1, s))))


@vjp("Gelu")
def gelu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Phi(x) + x phi(x), or the derivative of the tanh form (Hendrycks and Gimpel, 2016, arXiv:1606.08415)."""
    (x,) = node.inputs
    if node.attributes.get_string("approximate", "none") == "tanh":
        return g.Mul(dy, _tanh_gelu_slope(g, x))
    cdf = g.Mul(0.5, g.Add(1, g.Erf(g.Mul(x, math.sqrt(0.5)))))
    density = g.Mul(1 / math.sqrt(2 * math.pi), g.Exp(g.Mul(-0.5, g.Mul(x, x))))
    return g.Mul(dy, g.Add(cdf, g.Mul(x, density)))


def _tanh_gelu_slope(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """With u = c (x + a x^3) and t = tanh(u): (1 + t)/2 + x (1 - t^2) u'/2."""
    c, a, squared = math.sqrt(2 / math.pi), 0.044715, g.Mul(x, x)
    t = g.Tanh(g.Mul(g.Mul(c, x), g.Add(1, g.Mul(a, squared))))
    inner = g.Mul(c, g.Add(1, g.Mul(3 * a, squared)))
    return g.Mul(0.5, g.Add(g.Add(1, t), g.Mul(g.Mul(x, inner), g.Sub(1, g.Mul(t, t)))))
