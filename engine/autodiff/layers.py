"""What LRP calls a layer: a product with weights, the bias or BatchNormalization behind it included.

The model keeps its nodes. A rule reads the layer's effective weights and bias, which are constant expressions that a
runtime folds, so that a saved file has every weight once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .registry import rule_for

__all__ = ["LinearLayer", "SeenNode"]


@dataclass(frozen=True)
class SeenNode:
    """A node as the registry's rules see it, with other inputs than the model's."""

    name: str | None
    op_type: str
    inputs: Sequence[Any]
    outputs: Sequence[ir.Value]
    attributes: Any


@dataclass(frozen=True)
class LinearLayer:
    """A product with weights, ``node``, and the node that its result leaves by: itself, its bias or BatchNormalization.

    ``place`` is where the node reads x: 0, or 1 for MatMul(weights, x). ``scale`` is a product with one number for each
    channel behind the node, as exporters write a BatchNormalization. ``rectified`` is max(y, 0), where all
    relevance of y is that of a Relu behind it.
    """

    node: ir.Node
    last: ir.Node
    place: int = 0
    scale: ir.Node | None = None
    rectified: ir.Value | None = None

    @property
    def x(self) -> Any:
        return self.node.inputs[self.place]

    @property
    def y(self) -> ir.Value:
        return self.last.outputs[0]

    def weights(self, g: GraphBuilder) -> tuple[ir.Value, ir.Value | None]:
        """The effective weights in the node's layout, and the effective bias, which broadcasts to y."""
        w, b = self._own(g)
        if self.scale is not None:
            w, b = self._scaled(g, w, b, self._factor(g, self.scale))
        before = self.scale or self.node
        if self.last is before:
            return w, b
        if self.last.op_type == "BatchNormalization":
            return self._normalised(g, w, b)
        product_first = self.last.inputs[0] is before.outputs[0]
        other: Any = self.last.inputs[1 if product_first else 0]
        if self.last.op_type == "Sub" and product_first:
            other = g.Neg(other)
        elif self.last.op_type == "Sub":
            w, b = g.Neg(w), None if b is None else g.Neg(b)
        return w, other if b is None else g.Add(b, other)

    def forward(self, g: GraphBuilder, x: ir.Value, w: ir.Value, b: ir.Value | None = None) -> ir.Value:
        """The layer of other inputs, weights and bias."""
        if self.node.op_type == "MatMul":
            y = g.MatMul(w, x) if self.place else g.MatMul(x, w)
        else:
            inner = self._flat_bias(g, b)
            y = getattr(g, self.node.op_type)(x, w, inner, **self._attributes())
            b = None if inner is not None else b
        return y if b is None else g.Add(y, b)

    def adjoint(self, g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value) -> ir.Value:
        """The gradient in x of the product with weights w: the registry's rule of the node."""
        rule, inputs = rule_for(self.node), [w, x] if self.place else [x, w]
        seen = SeenNode(self.node.name, self.node.op_type, inputs, [self.node.outputs[0]], self._attributes())
        read: Any = inputs[self.place]
        found: Any = rule(g, seen, dy, wanted=lambda value: value is read) if rule is not None else None  # type: ignore[arg-type]
        dx = found[self.place]
        return g.sum_to(dx, x) if self.node.op_type == "MatMul" else g.shaped_like(dx, x)

    def _own(self, g: GraphBuilder) -> tuple[ir.Value, Any]:
        w: Any = self.node.inputs[1 - self.place]
        b: Any = self.node.inputs[2] if len(self.node.inputs) > 2 else None
        if self.node.op_type == "Gemm":
            alpha, beta = (self.node.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
            return (w if alpha == 1 else g.Mul(w, alpha)), (b if b is None or beta == 1 else g.Mul(b, beta))
        if b is not None:
            b = g.Reshape(b, [-1, *[1] * (g.rank(w) - 2)])
        return w, b

    def _normalised(self, g: GraphBuilder, w: ir.Value, b: ir.Value | None) -> tuple[ir.Value, ir.Value]:
        """BatchNormalization: y = (y' - mean) factor + shift."""
        scale, shift, mean, var = (value for value in self.last.inputs[1:5])
        epsilon = self.last.attributes.get_float("epsilon", 1e-5)
        factor, ones = g.Div(scale, g.Sqrt(g.Add(var, epsilon))), [1] * (g.rank(self.y) - 2)
        offset = g.Reshape(g.Sub(shift, g.Mul(mean, factor)), [-1, *ones])
        w, b = self._scaled(g, w, b, factor)
        return w, offset if b is None else g.Add(b, offset)

    def _factor(self, g: GraphBuilder, scale: ir.Node) -> ir.Value:
        """What a Mul or Div by constants makes of each channel, (channels,) or (1,)."""
        constant: Any = next(x for x in scale.inputs if x is not self.node.outputs[0])
        flat = g.Reshape(constant, [-1])
        return g.Reciprocal(flat) if scale.op_type == "Div" else flat

    def _scaled(self, g: GraphBuilder, w: ir.Value, b: Any, factor: ir.Value) -> tuple[ir.Value, Any]:
        """Weights and bias times one factor for each channel."""
        wide = g.Reshape(factor, [-1, *[1] * (g.rank(self.y) - 2)])
        gemm = self.node.op_type == "Gemm" and not self.node.attributes.get_int("transB", 0)
        last_axis = gemm or self.node.op_type == "MatMul"
        along = factor if last_axis else wide if self.node.op_type == "ConvTranspose" else g.Unsqueeze(wide, [1])
        return g.Mul(w, along), None if b is None else g.Mul(b, wide)

    def _flat_bias(self, g: GraphBuilder, b: ir.Value | None) -> ir.Value | None:
        """The bias as the node takes it, None where it is not one number per channel."""
        if b is None or self.node.op_type == "Gemm":
            return b
        shape, channels = list(b.shape or ()), (self.node.outputs[0].shape or (None, None))[1]
        rank = g.rank(self.node.outputs[0])
        fits = shape[-rank + 1 :] == [channels, *[1] * (rank - 2)] and all(n == 1 for n in shape[: -rank + 1])
        return g.Reshape(b, [-1]) if fits and isinstance(channels, int) else None

    def _attributes(self) -> Any:
        kept = {k: a for k, a in self.node.attributes.items() if k not in ("alpha", "beta")}
        return ir.Node("", self.node.op_type, [], kept.values()).attributes
