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
from ..graph.traversal import ancestors
from .registry import rule_for

__all__ = ["PRODUCTS_WITH_WEIGHTS", "LinearLayer", "SeenNode", "goes_on", "is_gate", "layer_of", "varies"]

PRODUCTS_WITH_WEIGHTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_BIASES = frozenset({"Add", "Sub"})
_ELEMENTWISE = frozenset(
    {"Add", "Cast", "Clip", "Div", "Erf", "HardSigmoid", "Identity", "Mul", "Pow", "Relu", "Sigmoid", "Softplus"}
    | {"Sub", "Tanh"}
)


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
    channel behind the node, as exporters write a BatchNormalization.
    """

    node: ir.Node
    last: ir.Node
    place: int = 0
    scale: ir.Node | None = None

    @property
    def x(self) -> Any:
        return self.node.inputs[self.place]

    @property
    def y(self) -> ir.Value:
        return self.last.outputs[0]

    @property
    def first(self) -> bool:
        """Whether no other layer lies between the model's inputs and this one."""
        return not any(_has_weights(value.producer()) for value in ancestors([self.x]))

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
        found: Any = rule(g, seen, dy) if rule is not None else None  # type: ignore[arg-type]
        return g.sum_to(found[self.place], x)

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
        constant: Any = next(x for x in scale.inputs if not varies(x))
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


def layer_of(last: ir.Node) -> LinearLayer | None:
    """The layer whose result leaves by a node; None where the node is none's, or goes on with another."""
    if last.domain != "" or goes_on(last):
        return None
    if _has_weights(last):
        return LinearLayer(last, last, _place(last))
    before = next(
        (node for x in last.inputs if x is not None and (node := x.producer()) is not None and goes_on(node)), None
    )
    if before is None:
        return None
    scale = before if not _has_weights(before) else last if _scales(last, before) else None
    maker = _product(before)
    if maker is None or (last.op_type == "BatchNormalization" and not _folds(maker)):
        return None
    return LinearLayer(maker, last, _place(maker), scale)


def goes_on(node: ir.Node) -> bool:
    """Whether the layer goes on with the only node that reads this one: a scale, a bias, or a BatchNormalization."""
    uses = node.outputs[0].uses()
    product = _product(node)
    if product is None or len(uses) != 1 or node.outputs[0].is_graph_output():
        return False
    reader, place = next(iter(uses))
    bias = reader.op_type in _BIASES and not all(map(varies, reader.inputs))
    own = product is node and ((reader.op_type == "BatchNormalization" and place == 0) or _scales(reader, node))
    return reader.domain == "" and (bias or own)


def _product(node: ir.Node) -> ir.Node | None:
    """The product with weights that a node is, or that it scales channel by channel."""
    if _has_weights(node):
        return node
    made = [x.producer() for x in node.inputs if x is not None and x.producer() is not None]
    return next((one for one in made if one is not None and _scales(node, one) and _alone(one)), None)


def _alone(node: ir.Node) -> bool:
    return len(node.outputs[0].uses()) == 1 and not node.outputs[0].is_graph_output()


def _scales(node: ir.Node, product: ir.Node) -> bool:
    """Whether a node multiplies a product with weights by one constant for each channel, or by one for all."""
    if node.domain != "" or node.op_type not in ("Div", "Mul") or not _has_weights(product) or not _folds(product):
        return False
    y, place = product.outputs[0], next((k for k, x in enumerate(node.inputs) if x is product.outputs[0]), None)
    other = node.inputs[1 - place] if place is not None and len(node.inputs) == 2 else None
    if other is None or varies(other) or other.shape is None or (node.op_type == "Div" and place != 0):
        return False
    rank, shape = len(y.shape or ()), list(other.shape)
    channels = rank - 1 if product.op_type in ("Gemm", "MatMul") else 1
    padded = [1] * (rank - len(shape)) + shape
    return rank > 1 and len(padded) == rank and all(n == 1 or axis == channels for axis, n in enumerate(padded))


def varies(value: ir.Value | None) -> bool:
    """Whether a value depends on the model's inputs."""
    return value is not None and any(one.is_graph_input() for one in ancestors([value]))


def is_gate(value: ir.Value | None, of: ir.Value | None) -> bool:
    """Whether a value is an elementwise function of another alone, as Gelu's and SiLU's gates are."""
    met, waiting = set[ir.Value | None](), [value]
    while waiting:
        value = waiting.pop()
        if value is None or value is of or value in met or not varies(value):
            continue
        met.add(value)
        node = value.producer()
        if node is None or node.domain != "" or node.op_type not in _ELEMENTWISE:
            return False
        waiting += node.inputs
    return bool(met)


def _has_weights(node: ir.Node | None) -> bool:
    """Whether a node is a product of one value that depends on the inputs, and weights that do not."""
    if node is None or node.domain != "" or node.op_type not in PRODUCTS_WITH_WEIGHTS:
        return False
    return sum(map(varies, node.inputs[:2])) == 1 and (node.op_type == "MatMul" or varies(node.inputs[0]))


def _place(node: ir.Node) -> int:
    return 0 if varies(node.inputs[0]) else 1


def _folds(node: ir.Node) -> bool:
    """Whether a BatchNormalization behind a product scales its weights by channel."""
    grouped = node.op_type == "ConvTranspose" and node.attributes.get_int("group", 1) > 1
    flat = node.op_type != "MatMul" or (len(node.outputs[0].shape or ()) == 2 and _place(node) == 0)
    return flat and not grouped
