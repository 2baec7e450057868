"""Which nodes LRP calls one layer: a product with weights, and the scale, bias or BatchNormalization behind it."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.traversal import DependsOn, numbers_read
from .layers import LinearLayer

__all__ = ["LayerFinder"]

_PRODUCTS_WITH_WEIGHTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_BIASES = frozenset({"Add", "Sub"})
_ELEMENTWISE = frozenset(
    {"Add", "Cast", "Clip", "Div", "Erf", "HardSigmoid", "Identity", "Mul", "Pow", "Relu", "Sigmoid", "Softplus"}
    | {"Sub", "Tanh"}
)


class LayerFinder:
    """Finds the layers of one graph; it keeps which numbers depend on those of the model's inputs, and on a layer's."""

    def __init__(self) -> None:
        self.varies = DependsOn(ir.Value.is_graph_input, numbers_read)
        self._behind_layer = DependsOn(lambda value: self._has_weights(value.producer()), numbers_read)

    def layer_of(self, last: ir.Node) -> LinearLayer | None:
        """The layer whose result leaves by a node; None where the node is none's, or goes on with another."""
        if last.domain != "" or self.goes_on(last):
            return None
        if self._has_weights(last):
            return LinearLayer(last, last, self._place(last))
        made = (node for x in last.inputs if x is not None and (node := x.producer()) is not None)
        before = next(filter(self.goes_on, made), None)
        if before is None:
            return None
        scale = before if not self._has_weights(before) else last if self._scales(last, before) else None
        maker = self._product(before)
        if maker is None or (last.op_type == "BatchNormalization" and not self._folds(maker)):
            return None
        return LinearLayer(maker, last, self._place(maker), scale)

    def is_first(self, layer: LinearLayer) -> bool:
        """Whether no other layer lies between the model's inputs and this one."""
        return not self._behind_layer(layer.x)

    def goes_on(self, node: ir.Node) -> bool:
        """Whether the layer goes on with the only node that reads this one: a scale, a bias, a BatchNormalization."""
        uses = node.outputs[0].uses()
        product = self._product(node)
        if product is None or len(uses) != 1 or node.outputs[0].is_graph_output():
            return False
        reader, place = next(iter(uses))
        bias = reader.op_type in _BIASES and not all(map(self.varies, reader.inputs))
        normalised = reader.op_type == "BatchNormalization" and place == 0
        own = product is node and (normalised or self._scales(reader, node))
        return reader.domain == "" and (bias or own)

    def is_gate(self, value: ir.Value | None, of: ir.Value | None) -> bool:
        """Whether a value is an elementwise function of another alone, as Gelu's and SiLU's gates are."""
        met, waiting = set[ir.Value | None](), [value]
        while waiting:
            value = waiting.pop()
            if value is None or value is of or value in met or not self.varies(value):
                continue
            met.add(value)
            node = value.producer()
            if node is None or node.domain != "" or node.op_type not in _ELEMENTWISE:
                return False
            waiting += node.inputs
        return bool(met)

    def _product(self, node: ir.Node) -> ir.Node | None:
        """The product with weights that a node is, or that it scales channel by channel."""
        if self._has_weights(node):
            return node
        made = [one for x in node.inputs if x is not None and (one := x.producer()) is not None]
        return next((one for one in made if self._scales(node, one) and _alone(one)), None)

    def _scales(self, node: ir.Node, product: ir.Node) -> bool:
        """Whether a node multiplies a product with weights by one constant for each channel, or by one for all."""
        scales = node.domain == "" and node.op_type in ("Div", "Mul")
        if not scales or not self._has_weights(product) or not self._folds(product):
            return False
        y, place = product.outputs[0], next((k for k, x in enumerate(node.inputs) if x is product.outputs[0]), None)
        other = node.inputs[1 - place] if place is not None and len(node.inputs) == 2 else None
        if other is None or self.varies(other) or other.shape is None or (node.op_type == "Div" and place != 0):
            return False
        rank, shape = len(y.shape or ()), list(other.shape)
        channels = rank - 1 if product.op_type in ("Gemm", "MatMul") else 1
        padded = [1] * (rank - len(shape)) + shape
        return rank > 1 and len(padded) == rank and all(n == 1 or axis == channels for axis, n in enumerate(padded))

    def _has_weights(self, node: ir.Node | None) -> bool:
        """Whether a node is a product of one value that depends on the inputs, and weights that do not."""
        if node is None or node.domain != "" or node.op_type not in _PRODUCTS_WITH_WEIGHTS:
            return False
        varying = [self.varies(x) for x in node.inputs[:2]]
        return sum(varying) == 1 and (node.op_type == "MatMul" or varying[0])

    def _place(self, node: ir.Node) -> int:
        return 0 if self.varies(node.inputs[0]) else 1

    def _folds(self, node: ir.Node) -> bool:
        """Whether a BatchNormalization behind a product scales its weights by channel."""
        grouped = node.op_type == "ConvTranspose" and node.attributes.get_int("group", 1) > 1
        flat = node.op_type != "MatMul" or (len(node.outputs[0].shape or ()) == 2 and self._place(node) == 0)
        return flat and not grouped


def _alone(node: ir.Node) -> bool:
    return len(node.outputs[0].uses()) == 1 and not node.outputs[0].is_graph_output()
