"""Pools by a p-norm, and the inverse of MaxPool."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp
from .pooling import covering_window, spread_windows


@vjp("LpPool")
def lp_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y = (sum |x|^p)^(1/p), so that dx = sign(x) |x|^(p-1) times the sum of dy y^(1-p) over the windows of x."""
    (x,) = node.inputs
    share = spread_windows(g, x, _slope(g, node, dy), covering_window(node, x))
    return g.Mul(_power(g, node, x), share)


@vjp("GlobalLpPool")
def global_lp_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(_power(g, node, node.inputs[0]), _slope(g, node, dy))


def _slope(g: GraphBuilder, node: Node, dy: ir.Value) -> ir.Value:
    """dy y^(1-p), and 0 at the origin."""
    y, p = node.outputs[0], node.attributes.get_int("p", 2)
    zero = g.Equal(y, 0)
    return g.Where(zero, 0, g.Mul(dy, g.Pow(g.Where(zero, 1, y), g.constant(1 - p, y.dtype))))


def _power(g: GraphBuilder, node: Node, x: ir.Value) -> ir.Value:
    """sign(x) |x|^(p-1)."""
    p = node.attributes.get_int("p", 2)
    return x if p == 2 else g.Mul(g.Sign(x), g.Pow(g.Abs(x), g.constant(p - 1, x.dtype)))


@vjp("MaxUnpool")
def max_unpool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The indices count in the flattened output."""
    taken = g.Gather(g.Reshape(dy, [-1]), node.inputs[1])
    return taken, *[None] * (len(node.inputs) - 1)
