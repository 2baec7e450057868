"""Layer-wise relevance propagation, written as rules for the gradient: times the input, the gradient is the relevance.

The relevance of a value is the value times the gradient that arrives at it, R = y dy. Written so, an operator that is
linear in what it reads, or picks from it, keeps the registry's rule: Relu, pools, sums, and what moves data. Layers of
weights take the epsilon rule (Bach et al., 2015, doi 10.1371/journal.pone.0130140, equation 58), by which x gets
x W^T R / (y + eps sign(y)): that is the registry's rule for dy |y| / (|y| + eps). A bias or a BatchNormalization
behind weights is one layer with them. Other activations pass their relevance on; of a product of two values each gets
half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.traversal import ancestors
from .registry import Gradients, Node, Overlay, Rule, as_rule, rule_for

__all__ = ["LRP_EPSILON", "EpsilonRule"]

_WEIGHTED = frozenset({"BatchNormalization", "Conv", "ConvTranspose", "Gemm"})
_PRODUCTS = frozenset({"MatMul", "Mul"})
_SUMS = frozenset({"Add", "Sub"})
_PASSED = frozenset(
    {"Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Selu", "Sigmoid", "Softplus", "Softsign"}
    | {"Swish", "Tanh", "ThresholdedRelu"}
)
_KEPT = frozenset(
    {"AveragePool", "Cast", "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GatherElements"}
    | {"GlobalAveragePool", "GlobalMaxPool", "Identity", "LeakyRelu", "MaxPool", "Mean", "Neg", "PRelu", "Pad", "Relu"}
    | {"ReduceMax", "ReduceMean", "ReduceSum", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sum"}
    | {"Transpose", "Unsqueeze"}
)


@dataclass(frozen=True)
class EpsilonRule(Overlay):
    """The epsilon rule for every layer of weights; an operator that no rule here is for is an UnsupportedOperator."""

    epsilon: float = 1e-6

    def rule(self, node: ir.Node) -> Rule | None:
        found = self._chosen(node) if node.domain == "" else _refused
        return None if found is None else as_rule(found)

    def _chosen(self, node: ir.Node) -> Callable[..., Gradients] | None:
        op = node.op_type
        if op in _PASSED:
            return self._pass
        if op in _PRODUCTS and all(map(_varies, node.inputs)):
            return _halve
        if op in _WEIGHTED and _varies(node.inputs[1]):
            return _refused
        if op in _WEIGHTED or op == "MatMul" or (op in _SUMS and not all(map(_varies, node.inputs))):
            return None if _goes_on(node) else self._stabilise
        linear = op in _KEPT or op in _SUMS or op == "Mul" or (op == "Div" and not _varies(node.inputs[1]))
        return None if linear else _refused

    def _stabilise(self, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
        size = g.Abs(node.outputs[0])
        return _registered(g, node, g.Mul(dy, g.Div(size, g.Add(size, self.epsilon))))

    def _pass(self, g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
        x, y = node.inputs[0], node.outputs[0]
        stable = g.Add(x, g.Where(g.Less(x, 0), g.constant(-self.epsilon, x.dtype), g.constant(self.epsilon, x.dtype)))
        return [g.Mul(dy, g.Div(y, stable)), *[None] * (len(node.inputs) - 1)]


def _halve(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    return _registered(g, node, g.Mul(dy, 0.5))


def _refused(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    raise UnsupportedOperator(f"operator {node.op_type} (node {node.name!r}) has no rule of relevance")


def _registered(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    rule = rule_for(node)
    return None if rule is None else rule(g, node, dy)


def _goes_on(node: ir.Node) -> bool:
    """Whether the layer goes on with the only node that reads this one: a bias, or a BatchNormalization."""
    uses = node.outputs[0].uses()
    if len(uses) != 1 or node.outputs[0].is_graph_output() or node.op_type in ("Add", "Sub", "BatchNormalization"):
        return False
    reader = next(iter(uses)).node
    bias = reader.op_type in _SUMS and not all(map(_varies, reader.inputs))
    return reader.domain == "" and (bias or reader.op_type == "BatchNormalization")


def _varies(value: ir.Value | None) -> bool:
    """Whether a value depends on the model's inputs."""
    return value is not None and any(one.is_graph_input() for one in ancestors([value]))


LRP_EPSILON = EpsilonRule("lrp-epsilon")
