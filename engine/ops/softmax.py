"""Softmax and its logarithm."""

from __future__ import annotations

import onnx_ir as ir

from ..graph import GraphBuilder
from ..rules import Gradients, Node, vjp


@vjp("Softmax")
def softmax(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y (dy - <dy, y>)."""
    y = node.outputs[0]
    return g.Mul(y, g.Sub(dy, _total(g, node, g.Mul(dy, y))))


@vjp("LogSoftmax")
def log_softmax(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """dy - softmax(x) sum(dy), where softmax(x) = exp(y)."""
    return g.Sub(dy, g.Mul(g.Exp(node.outputs[0]), _total(g, node, dy)))


def _total(g: GraphBuilder, node: Node, value: ir.Value) -> ir.Value:
    return g.ReduceSum(value, [node.attributes.get_int("axis", -1)], keepdims=1)
