"""Layer-wise relevance propagation, written as rules for the gradient: times the value, the gradient is the relevance.

The relevance of a value is the value times the gradient that arrives at it, R = y dy. Written so, an operator that is
linear in what it reads, or picks from it, keeps the registry's rule: Relu, pools, sums, and what moves data. Layers of
weights take the epsilon rule (Bach et al., 2015, doi 10.1371/journal.pone.0130140, equation 58), by which x gets
x W^T R / (y + eps sign(y)): that is the registry's rule for dy |y| / (|y| + eps); or another that a composite names,
see ``relevance``. A bias or a BatchNormalization behind weights is one layer with them. Other activations pass their
relevance on, so does x times a gate of x; of other products of two values each gets half. Any other is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from .layer_finder import LayerFinder
from .layers import LinearLayer
from .passed_relevance import Passed, behind, gate_on, hand_on, round_on, straight_on
from .registry import NO_GRADIENT, Gradients, Overlay, Rule, RuleFunction, Unsettled, as_rule, rule_for
from .relevance import LayerRule
from .relevance_operators import KEPT, PASSED, PRODUCTS, SUMS, WEIGHTED, refused
from .relevance_shares import STABILISER

__all__ = ["Composite"]


@dataclass(frozen=True)
class Composite(Overlay):
    """Rules of LRP for every operator; one that no rule here is for is an UnsupportedOperator.

    Args:
        layers: The rules of layers by operator, such as "Conv"; other layers take the epsilon rule.
        first: The rule of the first layers, which gives the relevance of their input and no gradient; so a
            composite that has one is for the methods lrp and input-x-gradient, which add it.
        epsilon: The stabiliser of the epsilon rule.
        stopped: Whether the first layers send nothing on, as their relevance is added by a method.

    ``rules`` are those of further operators; ``finder`` is that of a reverse pass, ``passed`` has the gradients that an
    activation sent on in it.
    """

    layers: Mapping[str, LayerRule] = field(default_factory=dict)
    first: LayerRule | None = None
    epsilon: float = STABILISER
    stopped: bool = False
    finder: LayerFinder | None = field(default=None, repr=False, compare=False)
    passed: dict[ir.Value, Passed] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_whole(self) -> bool:
        return True

    def stopped_at_first(self) -> Composite:
        return replace(self, stopped=True) if self.first else self

    def for_pass(self) -> Composite:
        return replace(self, finder=LayerFinder(), passed={})

    def rule(self, node: ir.Node) -> Rule | None:
        if (node.domain, node.op_type) in NO_GRADIENT or (node.domain and rule_for(node) is None):
            return None
        finder = self.finder or LayerFinder()
        found = super().rule(node) or (self._of_layer(node, finder) if node.domain == "" else as_rule(refused))
        return found if found is not None else self._chosen(node, finder)

    def first_layers(self, nodes: Iterable[ir.Node]) -> list[tuple[LinearLayer, LayerRule]]:
        """The layers that take the rule ``first``, with it."""
        finder, rule = self.finder or LayerFinder(), self.first
        found = [finder.layer_of(node) for node in nodes] if rule else []
        return [(layer, rule) for layer in found if rule and layer is not None and finder.is_first(layer)]

    def _of_layer(self, node: ir.Node, finder: LayerFinder) -> Rule | None:
        layer = finder.layer_of(node) if self.layers or self.first else None
        if layer is None:
            return None
        if self.first is not None and finder.is_first(layer):
            return as_rule(_stopped if self.stopped else _needs_method, self.first.name)
        found = self.layers.get(layer.node.op_type)
        return None if found is None else as_rule(_by(layer, found, self.passed), found.name)

    def _chosen(self, node: ir.Node, finder: LayerFinder) -> Rule | None:
        op, varies = node.op_type, finder.varies
        if op in PASSED:
            return as_rule(partial(hand_on, self.passed, self.epsilon), "pass")
        kept = rule_for(node)
        if op == "Relu" and self.layers and kept is not None:
            return as_rule(partial(gate_on, self.passed, kept.function))
        if op == "QuantizeLinear":
            rule, name = (round_on, "pass") if self.layers or self.first else (straight_on, "straight")
            return as_rule(partial(rule, self.epsilon), name)
        if op in PRODUCTS and all(map(varies, node.inputs)):
            gate = next((k for k in (0, 1) if op == "Mul" and finder.is_gate(node.inputs[1 - k], node.inputs[k])), None)
            return as_rule(_halve, "half each") if gate is None else as_rule(partial(_gated, gate), "pass")
        if op in WEIGHTED and varies(node.inputs[1]):
            return as_rule(refused)
        if op in WEIGHTED or op == "MatMul" or (op in SUMS and not all(map(varies, node.inputs))):
            return None if finder.goes_on(node) else as_rule(self._stabilise, "epsilon")
        linear = op in KEPT or op in SUMS or op == "Mul" or (op == "Div" and not varies(node.inputs[1]))
        return None if linear else as_rule(refused)

    def _stabilise(self, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
        found = behind(self.passed, dy, node.outputs[0])
        if found and found.by_x:  # the same sum, kept away from zero
            return _registered(g, node, dy)
        share = g.Add(g.Div(self.epsilon, g.Abs(node.outputs[0])), 1)  # inverse, so that 0 and -inf, a mask, have one
        return _registered(g, node, g.Div(dy, share))


def _by(layer: LinearLayer, rule: LayerRule, passed: Mapping[ir.Value, Passed]) -> RuleFunction:
    """An activation behind the layer handed its relevance on: read there, none is lost, and y need not be kept."""

    def emit(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
        found = behind(passed, dy, layer.y)
        seen = replace(layer, rectified=found.y) if found and not found.by_x else layer
        return {layer.x: rule(g, seen, g.Mul(found.y, found.dy) if found else g.Mul(layer.y, dy))}

    return emit


def _stopped(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    return {}


def _needs_method(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    raise UnsupportedOperator(
        f"the rule of the first layer (node {node.name!r}) gives a relevance and no gradient: take method 'lrp' or "
        "'input-x-gradient'"
    )


def _gated(place: int, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    """x times a function of x alone is one activation of x, which passes its relevance on."""
    dx = g.Mul(dy, node.inputs[1 - place])
    return [dx, None] if place == 0 else [None, dx]


def _halve(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
    return _registered(g, node, g.Mul(dy, 0.5))


def _registered(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
    """The registry's gradients, one for each input that the node has."""
    rule = rule_for(node)
    found = None if rule is None else rule.function(g, node, dy)
    return found[: len(node.inputs)] if isinstance(found, Sequence) else found
