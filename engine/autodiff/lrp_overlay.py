"""Layer-wise relevance propagation, written as rules for the gradient: times the value, the gradient is the relevance.

The relevance of a value is the value times the gradient that arrives at it, R = y dy. Written so, an operator that is
linear in what it reads, or picks from it, keeps the registry's rule: Relu, pools, sums, and what moves data. Layers of
weights take the epsilon rule (Bach et al., 2015, doi 10.1371/journal.pone.0130140, equation 58), by which x gets
x W^T R / (y + eps sign(y)): that is the registry's rule for dy |y| / (|y| + eps); or another that a composite names,
see ``relevance``. A bias or a BatchNormalization behind weights is one layer with them. Other activations pass their
relevance on, so does x times a gate of x; of any other product of two values each gets half. The table of operators
is closed: any other is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .layer_finder import LayerFinder
from .layers import LinearLayer, SeenNode
from .ops.quantization import dequantised, saturated
from .registry import NO_GRADIENT, Gradients, Node, Overlay, Rule, RuleFunction, Unsettled, as_rule, rule_for
from .relevance import STABILISER, LayerRule, stable

__all__ = ["MOVED", "Composite"]

_WEIGHTED = frozenset({"BatchNormalization", "Conv", "ConvTranspose", "Gemm"})
_PRODUCTS = frozenset({"MatMul", "Mul"})
_SUMS = frozenset({"Add", "Sub"})
_PASSED = frozenset(
    {"Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Selu", "Sigmoid", "Softplus", "Softsign"}
    | {"Swish", "Tanh", "ThresholdedRelu"}
)
_MOVES = frozenset(
    {"Cast", "Concat", "DepthToSpace", "DequantizeLinear", "Dropout", "Expand", "Flatten", "Gather", "GatherElements"}
    | {"GatherND", "Identity", "Pad", "QuantizeLinear", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze"}
    | {"Tile", "Transpose", "Unsqueeze"}
)
_KEPT = _MOVES | {
    *("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LeakyRelu", "MaxPool", "Mean", "Neg", "PRelu", "Relu"),
    *("ReduceMax", "ReduceMean", "ReduceSum", "Resize", "Sum", "Where"),
}

_OF_TRANSFORMERS = frozenset({"Div", "LayerNormalization", "RMSNormalization", "Reciprocal", "Softmax", "Sqrt"})


@dataclass(frozen=True)
class Passed:
    """What an activation handed on to its input x: the relevance y dy, by its two factors."""

    x: ir.Value | None
    y: ir.Value
    dy: ir.Value


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
        found = super().rule(node) or (self._of_layer(node, finder) if node.domain == "" else as_rule(_refused))
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
        if op in _PASSED:
            return as_rule(self._pass, "pass")
        if op == "QuantizeLinear":
            return as_rule(self._round, "pass") if self.layers or self.first else as_rule(self._straight, "straight")
        if op in _PRODUCTS and all(map(varies, node.inputs)):
            gate = next((k for k in (0, 1) if op == "Mul" and finder.is_gate(node.inputs[1 - k], node.inputs[k])), None)
            return as_rule(_halve, "half each") if gate is None else as_rule(partial(_gated, gate), "pass")
        if op in _WEIGHTED and varies(node.inputs[1]):
            return as_rule(_refused)
        if op in _WEIGHTED or op == "MatMul" or (op in _SUMS and not all(map(varies, node.inputs))):
            return None if finder.goes_on(node) else as_rule(self._stabilise, "epsilon")
        linear = op in _KEPT or op in _SUMS or op == "Mul" or (op == "Div" and not varies(node.inputs[1]))
        return None if linear else as_rule(_refused)

    def _stabilise(self, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
        if _behind(self.passed, dy, node.outputs[0]):  # which divided by the same sum, kept away from zero
            return _registered(g, node, dy)
        size = g.Abs(node.outputs[0])
        return _registered(g, node, g.Mul(dy, g.Div(size, g.Add(size, self.epsilon))))

    def _pass(self, g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
        """The relevance y dy over x; what Clip(0, c) makes of negative x is 0, whatever the sign of x."""
        x, y = node.inputs[0], node.outputs[0]
        moved = g.Add(g.Abs(x), self.epsilon) if _is_capped_relu(node) else stable(g, x, self.epsilon)
        dx = g.Mul(dy, g.Div(y, moved))
        self.passed[dx] = Passed(x, y, dy)
        return [dx, *[None] * (len(node.inputs) - 1)]

    def _straight(self, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
        """Rounding has the slope 1, as its gradient has; a number that was clipped hands its relevance on."""
        step, x, kept = saturated(g, node, node.inputs[0], dy.dtype)
        share = g.Where(g.Equal(x, kept), g.constant(1, dy.dtype), g.Div(kept, stable(g, x, self.epsilon)))
        return [g.Mul(g.Div(dy, step), share), *[None] * (len(node.inputs) - 1)]

    def _round(self, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
        """Rounding hands on the relevance of what it rounds to; what it rounds to 0 has none.

        Rules that look at signs divide by sums which are 0 where all that they add was rounded to 0.
        """
        step, x, _ = saturated(g, node, node.inputs[0], dy.dtype)
        seen = SeenNode(node.name, "DequantizeLinear", [node.outputs[0], *node.inputs[1:]], [x], node.attributes)
        share = g.Div(dequantised(g, seen), stable(g, x, self.epsilon))
        return [g.Mul(g.Div(dy, step), share), *[None] * (len(node.inputs) - 1)]


@dataclass(frozen=True)
class _Moved(Overlay):
    """From the relevance of a first layer's input back to the model's: moved, and passed on by scales and offsets."""

    finder: LayerFinder | None = field(default=None, repr=False, compare=False)

    def for_pass(self) -> _Moved:
        return replace(self, finder=LayerFinder())

    def rule(self, node: ir.Node) -> Rule | None:
        if (node.domain, node.op_type) in NO_GRADIENT or (node.domain == "" and node.op_type in _MOVES):
            return None
        offsets = node.domain == "" and node.op_type in {"Add", "Sub", "Mul", "Div", "BatchNormalization"}
        varying = [*map((self.finder or LayerFinder()).varies, node.inputs)]
        return as_rule(partial(_hand_on, varying) if offsets and sum(varying) == 1 else _refused)


MOVED = _Moved("relevance of the first layer's input")


def _by(layer: LinearLayer, rule: LayerRule, passed: Mapping[ir.Value, Passed]) -> RuleFunction:
    """An activation behind the layer handed its relevance on: read there, none is lost, and y need not be kept."""

    def emit(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
        found = _behind(passed, dy, layer.y)
        return {layer.x: rule(g, layer, g.Mul(found.y, found.dy) if found else g.Mul(layer.y, dy))}

    return emit


def _behind(passed: Mapping[ir.Value, Passed], dy: ir.Value, y: ir.Value) -> Passed | None:
    """What the activation behind y handed on to y; a sum hands the same gradient on to all that it adds up."""
    found = passed.get(dy)
    return found if found and found.x is y else None


def _is_capped_relu(node: Node) -> bool:
    low = constant_of(node.inputs[1]) if node.op_type == "Clip" and len(node.inputs) > 1 else None
    return low is not None and bool((low == 0).all())


def _stopped(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    return {}


def _needs_method(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    raise UnsupportedOperator(
        f"the rule of the first layer (node {node.name!r}) gives a relevance and no gradient: take method 'lrp' or "
        "'input-x-gradient'"
    )


def _hand_on(varying: Sequence[bool], g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    return [dy if one else None for one in varying]


def _gated(place: int, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    """x times a function of x alone is one activation of x, which passes its relevance on."""
    dx = g.Mul(dy, node.inputs[1 - place])
    return [dx, None] if place == 0 else [None, dx]


def _halve(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
    return _registered(g, node, g.Mul(dy, 0.5))


def _refused(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    name = node.name or str(node.outputs[0].name)
    elsewhere = "; composite='attnlrp' is for transformers" if node.op_type in _OF_TRANSFORMERS else ""
    raise UnsupportedOperator(f"operator {node.op_type} (node {name!r}) has no rule of relevance{elsewhere}")


def _registered(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
    """The registry's gradients, one for each input that the node has."""
    rule = rule_for(node)
    found = None if rule is None else rule.function(g, node, dy)
    return found[: len(node.inputs)] if isinstance(found, Sequence) else found
