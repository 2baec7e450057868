"""Differences of one operator between an input and a reference, as rules of DeepLIFT use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of, static_shape
from .layers import SeenNode
from .ops.quantization import saturated
from .registry import Gradients, rule_for
from .streams import Stream

__all__ = ["SMALL", "Ends", "quantised", "ratio", "share_above_zero"]

SMALL = 1e-3  # of a curve, below which the mean derivative is nearer than a quotient of rounded differences
_SHARE = 1e-4  # likewise, as a share of the values, for what has a kink or a pole at zero
_TINY = 1e-37  # added to what may be 0; it changes no other float32
_LITTLE = 1e-30  # added to differences that may be 0
_NO_SLOPE = 1e-20  # of a quotient, what _LITTLE may have made of 0: products with it are denormals, which are slow
_AT_ZERO = frozenset(
    {"Abs", "Celu", "Elu", "HardSigmoid", "LeakyRelu", "Log", "PRelu", "Pow", "Reciprocal", "Selu", "Sqrt"}
    | {"ThresholdedRelu"}
)


@dataclass(frozen=True)
class Ends:
    """A node at the input, and the values that it has at the reference."""

    node: ir.Node
    reference: Stream

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """The inputs of the node, at the input and at the reference."""
        return [(x, x if x is None else self.reference(x)) for x in self.node.inputs]

    @property
    def x(self) -> tuple[ir.Value, ir.Value]:
        return self.pairs[0]

    @property
    def y(self) -> tuple[ir.Value, ir.Value]:
        y = self.node.outputs[0]
        return y, self.reference(y)

    def registered(self, g: GraphBuilder, dy: ir.Value, inputs: Sequence[Any], y: ir.Value | None = None) -> Any:
        """The gradients of the registry's rule for other inputs, and with them the output."""
        node, rule = self.node, rule_for(self.node)
        outputs = [y if y is not None else node.outputs[0], *node.outputs[1:]]
        seen: Any = SeenNode(node.name, node.op_type, inputs, outputs, node.attributes)
        found: Any = rule(g, seen, dy) if rule is not None else None
        return list(found)[: len(node.inputs)]

    def slope(self, g: GraphBuilder, dy: ir.Value) -> ir.Value:
        """The difference of y over that of x, elementwise; where that of x is small, the mean derivative."""
        (x, x_), (y, y_) = self.x, self.y
        if self.node.op_type == "Sqrt":  # a difference of roots loses digits
            return ratio(g, g.Sub(x, x_), g.Mul(g.Sub(x, x_), g.Add(y, y_)), g.constant(0, x.dtype), 0)
        if self.node.op_type == "Relu":
            return share_above_zero(g, (x, x_), (y, y_))
        if self.node.op_type == "Clip":
            return self._share_between_bounds(g)
        difference, one = g.Sub(x, x_), g.expand_like(g.constant(1, dy.dtype), dy)
        near = self._near(g, difference)
        ends = zip(zip(*self.pairs, strict=True), self.y, strict=True)
        slopes = [self.registered(g, one, list(inputs), end)[0] for inputs, end in ends]
        mean = g.Mul(g.Add(*slopes), 0.5)
        return g.Where(near, mean, g.Div(g.Sub(y, y_), g.Where(near, g.constant(1, x.dtype), difference)))

    def _share_between_bounds(self, g: GraphBuilder) -> ir.Value:
        """The slope of Clip; where x is the same at both ends, 1 inside and 0 outside.

        Differences of near numbers are exact, so the quotient needs no other guard than one from 0 / 0. It hangs on the
        reference alone, and is computed once where that is a constant: of ends that are the same it makes an infinite
        quotient of the right sign, and the slope is what is between 0 and 1.
        """
        (x, x_), (y, y_) = self.x, self.y
        low, high = (*self.node.inputs[1:], None, None)[:2]
        at, less = (g.constant(number, x.dtype) for number in (_LITTLE, -_LITTLE))
        inside = [compare(x_, bound) for compare, bound in ((g.Greater, low), (g.Less, high)) if bound is not None]
        held = g.lowering == "cpu" and _is_zero(low) and static_shape(x_) is not None  # a constant
        if held:  # a y of 0 at the reference has room for the sign itself
            y_, inside = g.Where(inside[0], y_, g.constant(2 * _LITTLE, x.dtype)), inside[1:]
        guard = g.Where(g.And(*inside), at, less) if inside else at
        guarded = g.Add(g.Sub(y, y_), _one_if_positive(g, guard) if held else guard)
        return g.HardSigmoid(g.Div(g.shaped_like(guarded, x), g.Sub(x, x_)), alpha=1.0, beta=-_NO_SLOPE)

    def _near(self, g: GraphBuilder, difference: ir.Value) -> ir.Value:
        (x, x_), op = self.x, self.node.op_type
        least = g.Mul(g.Add(g.Abs(x), g.Abs(x_)), _SHARE) if op in _AT_ZERO else SMALL
        return g.Not(g.Greater(g.Abs(difference), least))  # of equal infinities the difference is NaN


def _is_zero(bound: ir.Value | None) -> bool:
    found = None if bound is None else constant_of(bound)
    return found is not None and bool((found == 0).all())


def _one_if_positive(g: GraphBuilder, constant: ir.Value) -> ir.Value:
    """One number where all are positive, as the runtime finds when it folds the constant: it reads no array then."""
    rank, least = g.rank(constant), g.ReduceMin(constant, keepdims=0)
    ends = g.Where(g.Greater(least, 0), g.constant([1] * rank, ir.DataType.INT64), g.shape(constant))
    return g.Slice(constant, [0] * rank, ends, list(range(rank)))


def share_above_zero(g: GraphBuilder, ends: tuple[Any, Any], above: tuple[Any, Any]) -> ir.Value:
    """The difference of max(x, 0) over that of x, as a quotient of sums; where x is the same at both ends, 0 or 1.

    ``above``: max(x, 0) at both ends. A quotient of differences would take two more passes over the values, and digits.
    """
    (x, x_), (y, y_) = ends, above
    return g.Div(g.Add(y, y_), g.Add(g.Abs(x), g.Add(g.Abs(x_), _TINY)))


def ratio(g: GraphBuilder, over: ir.Value, under: ir.Value, instead: ir.Value, small: float) -> ir.Value:
    """A quotient of differences; where the lower one is small, or NaN, as of equal infinities, what is said instead."""
    near = g.Not(g.Greater(g.Abs(under), small))
    return g.Where(near, instead, g.Div(over, g.Where(near, g.constant(1, under.dtype), under)))


def quantised(g: GraphBuilder, ends: Ends, dy: ir.Value) -> Gradients:
    """Rounding passes multipliers straight through, clipping takes the rescale rule over the whole range.

    A step over a difference far smaller than it would be a huge multiplier. And x is not the number that was rounded
    where a runtime's integer kernels saturate: of equal x the integers may differ, and their quotient is infinite.
    """
    node, ((x, x_), dtype) = ends.node, (ends.x, dy.dtype)
    (step, x, y), (_, x_, y_) = (saturated(g, node, value, dtype) for value in (x, x_))
    slope = ratio(g, g.Sub(y, y_), g.Sub(x, x_), g.Cast(g.Equal(x, y), to=dtype), 0)
    return [g.Mul(g.Div(dy, step), slope), *[None] * (len(node.inputs) - 1)]
