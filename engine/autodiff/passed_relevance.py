"""What activations and roundings hand on of a relevance: all of it, by y dy over x.

An activation notes what it handed on, as the layer in front of it reads its relevance there: none is lost, and the
layer's own values need not be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .layers import SeenNode
from .ops.quantization import dequantised, saturated
from .registry import Gradients, Node, RuleFunction
from .relevance_shares import stable

__all__ = ["Passed", "behind", "gate_on", "hand_on", "round_on", "straight_on"]


@dataclass(frozen=True)
class Passed:
    """What an activation handed on to its input x: the relevance y dy, by its two factors; ``by_x``, divided by x."""

    x: ir.Value | None
    y: ir.Value
    dy: ir.Value
    by_x: bool = True


def hand_on(passed: dict[ir.Value, Passed], epsilon: float, g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The relevance y dy over x, noted in ``passed``; what Clip(0, c) makes of negative x is 0, whatever its sign."""
    x, y = node.inputs[0], node.outputs[0]
    moved = g.Add(g.Abs(x), epsilon) if _is_capped_relu(node) else stable(g, x, epsilon)
    dx = g.Mul(dy, g.Div(y, moved))
    passed[dx] = Passed(x, y, dy)
    return [dx, *[None] * (len(node.inputs) - 1)]


def gate_on(passed: dict[ir.Value, Passed], rule: RuleFunction, g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The gradient of Relu, whose relevance is y dy, too: a layer that reads it there needs neither gate nor x."""
    dx: Any = rule(g, node, dy)
    passed[dx] = Passed(node.inputs[0], node.outputs[0], dy, by_x=False)
    return dx


def straight_on(epsilon: float, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    """Rounding has the slope 1, as its gradient has; a number that was clipped hands its relevance on."""
    step, x, kept = saturated(g, node, node.inputs[0], dy.dtype)
    share = g.Where(g.Equal(x, kept), g.constant(1, dy.dtype), g.Div(kept, stable(g, x, epsilon)))
    return [g.Mul(g.Div(dy, step), share), *[None] * (len(node.inputs) - 1)]


def round_on(epsilon: float, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    """Rounding hands on the relevance of what it rounds to; what it rounds to 0 has none.

    Rules that look at signs divide by sums which are 0 where all that they add was rounded to 0.
    """
    step, x, _ = saturated(g, node, node.inputs[0], dy.dtype)
    seen = SeenNode(node.name, "DequantizeLinear", [node.outputs[0], *node.inputs[1:]], [x], node.attributes)
    share = g.Div(dequantised(g, seen), stable(g, x, epsilon))
    return [g.Mul(g.Div(dy, step), share), *[None] * (len(node.inputs) - 1)]


def behind(passed: Mapping[ir.Value, Passed], dy: ir.Value, y: ir.Value) -> Passed | None:
    """What the activation behind y handed on to y; a sum hands the same gradient on to all that it adds up."""
    found = passed.get(dy)
    return found if found and found.x is y else None


def _is_capped_relu(node: Node) -> bool:
    low = constant_of(node.inputs[1]) if node.op_type == "Clip" and len(node.inputs) > 1 else None
    return low is not None and bool((low == 0).all())
