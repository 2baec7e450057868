"""Softmax and its logarithm."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp


@vjp("Softmax")
def softmax(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y (dy - <dy, y>); a row of nothing but -inf, which is NaN, has none where the model itself screens such rows."""
    y = node.outputs[0]
    if _is_screened(y):
        y = g.Where(g.IsNaN(y), 0, y)
    return g.Mul(y, g.Sub(dy, _total(g, node, g.Mul(dy, y))))


@vjp("LogSoftmax")
def log_softmax(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """dy - softmax(x) sum(dy), where softmax(x) = exp(y)."""
    return g.Sub(dy, g.Mul(g.Exp(node.outputs[0]), _total(g, node, dy)))


def _is_screened(y: ir.Value) -> bool:
    """Whether a Where reads y, or an IsNaN."""
    readers = [use.node for use in y.uses()]
    return any(n.op_type in ("IsNaN", "Where") or (n.op_type == "Cast" and _is_screened(n.outputs[0])) for n in readers)


def _total(g: GraphBuilder, node: Node, value: ir.Value) -> ir.Value:
    return g.ReduceSum(value, [node.attributes.get_int("axis", -1)], keepdims=1)
