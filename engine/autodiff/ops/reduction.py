"""Reductions, running sums and running products."""

from __future__ import annotations

import math

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, vjp
from .blocked import expanded_in_blocks
from .zeros import divided, other_zeros


@vjp("ReduceSum")
def reduce_sum(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.expand_like(_kept(g, node, dy), node.inputs[0])


@vjp("ReduceMean")
def reduce_mean(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    each, x = _kept(g, node, g.Div(dy, _count(g, node))), node.inputs[0]
    pooled = x.shape is not None and len(x.shape) == 4 and sorted(a % 4 for a in _constant_axes(node) or ()) == [2, 3]
    return expanded_in_blocks(g, each, x) if pooled else g.expand_like(each, x)


@vjp("ReduceMax", "ReduceMin")
def reduce_extremum(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The first element in memory order that attains the extremum takes the whole gradient."""
    (x, *_), (y,) = node.inputs, node.outputs
    place = g.reshape_like(g.Range(0, g.Size(x), 1), x)
    first = _again(g, "ReduceMin", node, g.Where(g.Equal(x, _kept(g, node, y)), place, 2**63 - 1))
    return g.Where(g.Equal(place, first), _kept(g, node, dy), 0)


@vjp("ReduceProd")
def reduce_prod(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The product of the other elements: that of all nonzero ones over the own, times the other zeros."""
    x = node.inputs[0]
    nonzero = g.Where(g.Equal(x, 0), 1, x)
    others = g.Div(_again(g, "ReduceProd", node, nonzero), nonzero)
    zeros = other_zeros(g, x, lambda value: _again(g, "ReduceSum", node, value))
    return g.Mul(_kept(g, node, dy), g.Mul(others, zeros))


@vjp("ReduceL1")
def reduce_l1(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(_kept(g, node, dy), g.Sign(node.inputs[0]))


@vjp("ReduceL2")
def reduce_l2(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """x / y, and 0 at the origin."""
    return g.Mul(_kept(g, node, divided(g, dy, node.outputs[0])), node.inputs[0])


@vjp("ReduceSumSquare")
def reduce_sum_square(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(_kept(g, node, g.Mul(2, dy)), node.inputs[0])


@vjp("ReduceLogSum")
def reduce_log_sum(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x = node.inputs[0]
    return g.expand_like(g.Div(_kept(g, node, dy), _again(g, "ReduceSum", node, x)), x)


@vjp("ReduceLogSumExp")
def reduce_log_sum_exp(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(_kept(g, node, dy), g.Exp(g.Sub(node.inputs[0], _kept(g, node, node.outputs[0]))))


@vjp("CumSum")
def cum_sum(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return _sum_back(g, node, dy)


@vjp("CumProd")
def cum_prod(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """sum_j dy_j y_j / x_i over the products j that hold x_i.

    The first 0 on the way takes the products without it; the second one those without both, times the first, of which
    the derivative is not 0; what follows takes nothing.
    """
    (x, axis), (y,) = node.inputs, node.outputs
    exclusive, reverse = node.attributes.get_int("exclusive", 0), node.attributes.get_int("reverse", 0)
    zero = g.Equal(x, 0)
    met = g.CumSum(g.Cast(zero, to=x.dtype), axis, reverse=reverse)
    first, second = (g.And(zero, g.Equal(met, count)) for count in (1, 2))
    one, two = (
        _sum_back(g, node, g.Mul(dy, g.CumProd(g.Where(left_out, 1, x), axis, exclusive=exclusive, reverse=reverse)))
        for left_out in (first, g.Or(first, second))
    )
    other = g.ReduceSum(g.Where(first, x, 0), g.Reshape(g.Cast(axis, to=ir.DataType.INT64), [1]), keepdims=1)
    regular = g.Div(_sum_back(g, node, g.Mul(dy, y)), g.Where(zero, 1, x))
    return g.Where(first, one, g.Where(second, g.Mul(two, other), regular))


def _sum_back(g: GraphBuilder, node: Node, value: ir.Value) -> ir.Value:
    """The running sum from the other end."""
    exclusive, reverse = node.attributes.get_int("exclusive", 0), node.attributes.get_int("reverse", 0)
    return g.CumSum(value, node.inputs[1], exclusive=exclusive, reverse=1 - reverse)


def _kept(g: GraphBuilder, node: Node, value: ir.Value) -> ir.Value:
    """A value of the result's shape, broadcastable against what was reduced."""
    axes = _axes_input(node)
    if axes is None or node.attributes.get_int("keepdims", 1):
        return value  # without axes the result is a scalar, or nothing was reduced
    return g.Unsqueeze(value, axes)


def _again(g: GraphBuilder, op: str, node: Node, value: ir.Value) -> ir.Value:
    """A reduction of another value over the same axes, which are kept."""
    axes = _axes_input(node)
    noop = node.attributes.get_int("noop_with_empty_axes", 0)
    return getattr(g, op)(value, *([] if axes is None else [axes]), keepdims=1, noop_with_empty_axes=noop)


def _axes_input(node: Node) -> ir.Value | None:
    return node.inputs[1] if len(node.inputs) > 1 else None


def _count(g: GraphBuilder, node: Node) -> ir.Value | int:
    """How many elements make one element of the result."""
    x, y = node.inputs[0], node.outputs[0]
    axes = _constant_axes(node)
    dims = None if axes is None or x.shape is None else [x.shape[axis] for axis in axes]
    if dims is not None and all(isinstance(dim, int) for dim in dims):
        return math.prod(dims)
    sizes = [g.Cast(g.Size(value), to=ir.DataType.FLOAT) for value in (x, y)]
    return g.Cast(g.Div(*sizes), to=x.dtype)


def _constant_axes(node: Node) -> list[int] | None:
    """The reduced axes, None where they are computed or all of an unknown rank."""
    x, axes = node.inputs[0], _axes_input(node)
    known = constant_of(axes)
    if known is not None and known.size:
        return known.tolist()
    if axes is not None and known is None:
        return None
    if node.attributes.get_int("noop_with_empty_axes", 0):
        return []
    return None if x.shape is None else list(range(len(x.shape)))
