"""AttnLRP: the rules of relevance for transformers (Achtibat et al., 2024, arXiv:2402.05602).

In the form of gradients they are: Softmax keeps its own (the Taylor expansion of proposition 3.1, times the value);
a product of two activations gives half to each (proposition 3.3); a normalisation takes its deviation for a constant
(proposition 3.4), in one node or several; Gelu, SiLU and other gates of x hand all on (the identity rule); layers of
weights take the epsilon rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.traversal import DependsOn
from .layer_finder import LayerFinder
from .lrp_overlay import Composite
from .registry import Gradients, Node, Rule, as_rule, rule_for

__all__ = ["AttentionComposite"]

_ROOTS = frozenset({"Reciprocal", "Sqrt"})


@dataclass(frozen=True)
class AttentionComposite(Composite):
    """A composite that has rules for Softmax and for normalisations, too."""

    def _chosen(self, node: ir.Node, finder: LayerFinder) -> Rule | None:
        op, kept, varies = node.op_type, rule_for(node), finder.varies
        if op == "Softmax" and kept is not None:
            return as_rule(kept.function, "taylor")
        if op in ("LayerNormalization", "RMSNormalization"):
            return as_rule(_normalisation, "constant deviation")
        if op in ("Div", "Mul") and all(map(varies, node.inputs)) and _is_deviation(node.inputs[1], varies):
            return as_rule(_first_factor, "constant deviation")
        return super()._chosen(node, finder)


def _normalisation(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """dx = (dy scale - its mean) / deviation over the normalised axes, without the mean for RMSNormalization."""
    x, scale = node.inputs[:2]
    axes = list(range(node.attributes.get_int("axis", -1) % g.rank(x), g.rank(x)))
    du, u = g.Mul(dy, scale), x
    if node.op_type == "LayerNormalization":
        u, du = (g.Sub(value, g.ReduceMean(value, axes, keepdims=1)) for value in (u, du))
    variance = g.ReduceMean(g.Mul(u, u), axes, keepdims=1)
    dx = g.Div(du, g.Sqrt(g.Add(variance, node.attributes.get_float("epsilon", 1e-5))))
    return [dx, *[None] * (len(node.inputs) - 1)]


def _first_factor(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    other = node.inputs[1]
    return [g.Div(dy, other) if node.op_type == "Div" else g.Mul(dy, other), None]


def _is_deviation(value: ir.Value | None, varies: DependsOn) -> bool:
    """Whether a value is a root, or one over it: what a normalisation of several nodes divides by."""
    node = value.producer() if value is not None else None
    if node is None or node.domain != "":
        return False
    if node.op_type == "Div" and not varies(node.inputs[0]):
        return _is_deviation(node.inputs[1], varies)
    return node.op_type in _ROOTS
