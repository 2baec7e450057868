"""Replaces activations by Relu, Clip, Exp and arithmetic: forms that any gradient builder knows."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...passes.replace import nodes_of, replace

__all__ = ["ENTRY", "EXIT", "decompose_activations"]

# The first and the last node of a decomposed activation take its name and these.
ENTRY, EXIT = "/entry", "/exit"


def decompose_activations(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted.

    All of an activation's input enters through one Identity, all of its output leaves through another.
    """
    g = GraphBuilder(program.graph, prefix="decomposed")
    found = nodes_of(program, *_FORMS)
    for node in found:
        g.prefix = f"{node.name}/decomposed"
        x = g.Identity(node.inputs[0])
        y = g.Identity(_FORMS[node.op_type](g, node, x))
        for value, place in ((x, ENTRY), (y, EXIT)):
            value.producer().name = g.fresh(f"{node.name}{place}")
        replace(node, y)
    return bool(found)


def _prelu(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    """max(x, 0) - slope max(-x, 0)."""
    return g.Sub(g.Relu(x), g.Mul(node.inputs[1], g.Relu(g.Neg(x))))


def _elu(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    """max(x, 0) + alpha (exp(min(x, 0)) - 1); the exponent cannot overflow."""
    return _exponential(g, x, node.attributes.get_float("alpha", 1.0), 1.0)


def _celu(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    alpha = node.attributes.get_float("alpha", 1.0)
    return _exponential(g, x, alpha, alpha)


def _selu(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    alpha = node.attributes.get_float("alpha", 1.67326319217681884765625)
    return g.Mul(_exponential(g, x, alpha, 1.0), node.attributes.get_float("gamma", 1.05070102214813232421875))


def _exponential(g: GraphBuilder, x: ir.Value, alpha: float, width: float) -> ir.Value:
    below = g.Neg(g.Relu(g.Neg(x)))
    exponent = below if width == 1.0 else g.Div(below, width)
    return g.Add(g.Relu(x), g.Mul(alpha, g.Sub(g.Exp(exponent), 1)))


def _thresholded_relu(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    return g.Where(g.Greater(x, node.attributes.get_float("alpha", 1.0)), x, 0)


def _hard_sigmoid(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    """alpha x + beta between 0 and 1."""
    alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
    return g.Clip(g.Add(g.Mul(x, alpha), beta), 0, 1)


def _hard_swish(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    return g.Mul(x, g.Clip(g.Add(g.Div(x, 6), 0.5), 0, 1))


def _softplus(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    """log(exp(x) + exp(0)), which cannot overflow, and is smooth at 0."""
    column = g.Unsqueeze(x, [-1])
    return g.ReduceLogSumExp(g.Concat(column, g.Mul(column, 0), axis=-1), [-1], keepdims=0)


def _mish(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    return g.Mul(x, g.Tanh(_softplus(g, node, x)))


def _softsign(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    return g.Div(x, g.Add(1, g.Abs(x)))


def _swish(g: GraphBuilder, node: ir.Node, x: ir.Value) -> ir.Value:
    return g.Mul(x, g.Sigmoid(g.Mul(x, node.attributes.get_float("alpha", 1.0))))


_FORMS: dict[str, Callable[[GraphBuilder, ir.Node, ir.Value], ir.Value]] = {
    "Celu": _celu,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Mish": _mish,
    "PRelu": _prelu,
    "Selu": _selu,
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded_relu,
}
