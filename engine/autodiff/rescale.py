"""DeepLIFT's rescale rule: multipliers in the place of derivatives (Shrikumar et al., 2017, arXiv:1704.02685).

A multiplier m of a value x says how much of the score's difference from that at a reference each unit of x's own
difference brings: summed over the values, m dx is the difference of the score. The values at the reference are those
of a ``Stream``. What is linear keeps the registry's rule; an elementwise function has m = dy / dx (equation 5), where
dx is small the mean derivative of both ends; and so that nothing is lost elsewhere but by rounding:

* a product of two factors has da (b + b') / 2 and db (a + a') / 2, the registry's rule half way;
* a quotient is a product with the reciprocal, of which the difference is -db / (b b');
* Softmax is Exp of x - log(sum(exp(x))), and a normalisation u / s with ds = dvar / (s + s');
* a maximum that grows gives all to what holds it at the input, one that falls to what held it at the reference;
* of QuantizeLinear the clipping is an elementwise function, and rounding passes straight through: what it adds to the
  difference of the score is left over, as it is for a gradient.

The table is closed: for any other operator there is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.model import is_float
from ..graph.moving_operators import PASSING
from ..graph.traversal import numbers_read
from .differences import Ends, quantised
from .differences_of_quotients import normalised, quotient, softened
from .maxima import larger, pooled
from .registry import NO_GRADIENT, Gradients, Overlay, Rule, as_rule
from .relu_policies import ACTIVATIONS
from .streams import Stream

__all__ = ["Rescale"]

_LINEAR = PASSING | {
    *("Add", "AveragePool", "BatchNormalization", "CastLike", "Concat", "Conv", "ConvTranspose", "CumSum"),
    *("DepthToSpace", "DequantizeLinear", "Einsum", "Expand", "Gather", "GatherElements", "GatherND", "Gemm"),
    *("GlobalAveragePool", "MatMul", "Mean", "Mul", "Neg", "Pad", "ReduceMean", "ReduceSum", "Resize", "Slice"),
    *("SpaceToDepth", "Split", "Sub", "Sum", "Tile", "Trilu", "Upsample"),
}
_BILINEAR = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul", "Mul"})
_CURVED = frozenset(
    {"Abs", "Acosh", "Asinh", "Atan", "Cos", "Cosh", "Erf", "Exp", "Log", "Pow", "Reciprocal", "Sin", "Sinh", "Sqrt"}
)


def _refused(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    raise UnsupportedOperator(f"operator {node.op_type} (node {node.name!r}) has no rule of differences")


_EXACT = as_rule(_refused, "the registry's own")  # stands for it while a rule is chosen


@dataclass(frozen=True)
class Rescale(Overlay):
    """The rules of DeepLIFT with a reference, for nodes that select the score, too; of these others are exact.

    ``moves`` tells which values differ there: zeros in the shape of an input are computed again, and do not.
    """

    reference: Stream = field(default_factory=Stream)
    moves: Callable[[ir.Value | None], bool] = field(default=lambda value: False)

    def rule(self, node: ir.Node) -> Rule | None:
        return self._found(node, as_rule(_refused))

    def score_rule(self, node: ir.Node) -> Rule | None:
        return self._found(node, None)

    def _found(self, node: ir.Node, otherwise: Rule | None) -> Rule | None:
        if (node.domain, node.op_type) in NO_GRADIENT:
            return None
        if not any(map(self.moves, numbers_read(node))):
            return None
        moving = [self.moves(value) for value in node.inputs]
        found = self._chosen(node, moving) if node.domain == "" else None
        return None if found is _EXACT else found or otherwise

    def _chosen(self, node: ir.Node, moving: list[bool]) -> Rule | None:
        op = node.op_type  # whole numbers are sizes and places, of which a difference is none
        count = sum(moved and is_float(x) for moved, x in zip(moving, node.inputs, strict=True) if x is not None)
        if op in _BILINEAR and count == 2 and all(moving[:2]):
            return self._ruled("half way", _half_way)
        if op == "Div" and (count == 2 or moving[1]):
            return self._ruled("product with the reciprocal", quotient)
        if op in ("Max", "Min") and len(moving) == 2:
            return self._ruled("the larger", larger)
        if op in ("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin") and moving[0]:
            return self._ruled("the larger", pooled)
        if count > 1 and op not in ("Add", "Concat", "Mean", "Sub", "Sum", "Where"):
            return None
        if op == "Where" or op == "Div" or op in _LINEAR:
            return None if op == "Where" and moving[0] and not _screens(node) else _EXACT
        if not moving[0]:
            return None
        return self._ruled("rescale", _DIFFERENCES[op]) if op in _DIFFERENCES else None

    def _ruled(self, name: str, rule: Callable[..., Gradients]) -> Rule:
        return Rule(partial(_of_ends, self.reference, rule), 1, name)


def _of_ends(reference: Stream, rule: Callable[..., Gradients], g: GraphBuilder, node: ir.Node, dy: Any) -> Gradients:
    return rule(g, Ends(node, reference), dy)


def _half_way(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    """The registry's rule of the mean factors: exact for what is linear in each of two."""
    between = [g.Mul(g.Add(a, b), 0.5) if a is not b else a for a, b in ends.pairs]
    return ends.registered(g, dy, between)


def _rescaled(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    return [g.Mul(dy, ends.slope(g, dy)), *[None] * (len(ends.node.inputs) - 1)]


_DIFFERENCES: Mapping[str, Callable[..., Gradients]] = {
    **dict.fromkeys(ACTIVATIONS | _CURVED, _rescaled),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization", "RMSNormalization"), normalised),
    **dict.fromkeys(("Softmax", "LogSoftmax"), softened),
    "QuantizeLinear": quantised,
}


def _screens(node: ir.Node) -> bool:
    """Whether a Where replaces NaN, as the attention of masked rows does; another condition may change with x."""
    condition = node.inputs[0]
    maker = condition.producer() if condition is not None else None
    return maker is not None and maker.op_type == "IsNaN"
