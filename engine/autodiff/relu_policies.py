"""Relu policies: guided backprop and the deconvnet as rules that replace those of the registry.

Both change what an activation sends back, and nothing else of the model. For Relu and its kin they are one formula:
guided backprop sends the exact gradient of the positive part of dY, for Relu (X>0)(dY>0)dY; the deconvnet sends the
positive part of dY. Kin are Clip(0, c), which is ReLU-c, and LeakyRelu, PRelu, Elu, Celu, Selu and ThresholdedRelu,
the activations made of a rectifying kink. Smooth gates (Gelu, HardSwish, Mish, Softplus, Swish) and sigmoids are left
alone, since neither paper defines them; the result lists them.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .registry import Gradients, Node, Overlay, Unsettled, as_rule, rule_for

__all__ = ["ACTIVATIONS", "DECONVNET", "GUIDED"]

_KIN = ("Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu", "ThresholdedRelu")
_SMOOTH = ("Gelu", "HardSigmoid", "HardSwish", "Mish", "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh")
ACTIVATIONS = frozenset((*_KIN, *_SMOOTH))


def guided(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
    """Springenberg et al., 2014, arXiv:1412.6806."""
    rule = rule_for(node)
    return rule.function(g, node, g.Relu(dy)) if rule else None


def deconvnet(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Zeiler and Fergus, 2013, arXiv:1311.2901."""
    return [g.Relu(dy), *[None] * (len(node.inputs) - 1)]


def rectifies(node: ir.Node) -> bool:
    """Whether an activation is Relu or its kin; of Clip only Clip(0, c) is."""
    if node.op_type != "Clip":
        return True
    low = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    return low is not None and low.size == 1 and float(low.reshape(())) == 0.0


GUIDED = Overlay("guided", dict.fromkeys(_KIN, as_rule(guided)), rectifies)
DECONVNET = Overlay("deconvnet", dict.fromkeys(_KIN, as_rule(deconvnet)), rectifies)
