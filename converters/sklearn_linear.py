"""Linear operators of ai.onnx.ml written out in standard operators, which have gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, RemoveUnusedOpsetsPass

__all__ = ["lower"]

ML = "ai.onnx.ml"
POST = {"NONE": "Identity", "SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}
NORMS = {"L1": "ReduceL1", "L2": "ReduceL2"}


def lower(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite linear classifiers and regressors, scalers and normalisers; leave the rest; drop what is unused."""
    model = ir.from_proto(proto)
    for node in list(model.graph):
        rule = RULES.get(node.op_type) if node.domain == ML else None
        result = rule(Writer(model.graph, node)) if rule else None
        if result is not None:
            ir.convenience.replace_all_uses_with(node.outputs[-1], result, replace_graph_outputs=True)
            result.name, node.outputs[-1].name = node.outputs[-1].name, None
            result.shape, result.type = node.outputs[-1].shape, node.outputs[-1].type
    RemoveUnusedNodesPass()(model)
    RemoveUnusedOpsetsPass()(model)
    return ir.to_proto(model)


class Writer:
    """Writes standard nodes in front of the one that they replace."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph = graph
        self.node = node
        self.input = node.inputs[0]

    def attribute(self, name: str, default: Any) -> Any:
        """The value of an attribute of the node."""
        return self.node.attributes[name].value if name in self.node.attributes else default

    def array(self, name: str) -> np.ndarray:
        """A list of floats among the attributes, as an array."""
        return np.asarray(self.attribute(name, ()), dtype=np.float32)

    def write(self, op: str, inputs: Sequence[ir.Value | np.ndarray | None], **attributes: Any) -> ir.Value:
        """Add a node; arrays among its inputs become initializers."""
        values = [self.constant(x, i) if isinstance(x, np.ndarray) else x for i, x in enumerate(inputs)]
        node = ir.node(op, values, attributes=attributes or None)
        node.outputs[0].name = f"{self.node.name}/{op}"
        self.graph.insert_before(self.node, node)
        return node.outputs[0]

    def constant(self, array: np.ndarray, index: int) -> ir.Value:
        """An initializer of a name of its own."""
        name = f"{self.node.name}/constant_{len(self.graph.initializers)}_{index}"
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        self.graph.register_initializer(value)
        return value


def linear(writer: Writer) -> ir.Value | None:
    """Scores of LinearClassifier or LinearRegressor: x W^T + b, then the transform that the node asks for.

    A classifier with one row of weights scores two classes: s for the second one, -s for the first.
    """
    op = POST.get(writer.attribute("post_transform", "NONE"))
    offsets = writer.array("intercepts")
    if op is None or not len(offsets):
        return None
    weights = writer.array("coefficients").reshape(len(offsets), -1)
    product = writer.write("MatMul", [writer.input, np.ascontiguousarray(weights.T)])
    result = writer.write("Add", [product, offsets])
    if writer.node.op_type == "LinearClassifier" and len(offsets) == 1:
        result = writer.write("Concat", [writer.write("Neg", [result]), result], axis=1)
    return writer.write(op, [result])


def scaler(writer: Writer) -> ir.Value:
    """Scaler: (x - offset) * scale."""
    shifted = writer.write("Sub", [writer.input, writer.array("offset")])
    return writer.write("Mul", [shifted, writer.array("scale")])


def normaliser(writer: Writer) -> ir.Value | None:
    """Normalizer: x over its norm along the features; a softmax sums to one already."""
    op = NORMS.get(writer.attribute("norm", "MAX"))
    if op is None:
        return None
    maker = writer.input.producer() if writer.input else None
    if op == "ReduceL1" and maker is not None and maker.op_type == "Softmax":
        return writer.write("Identity", [writer.input])
    return writer.write("Div", [writer.input, writer.write(op, [writer.input, np.array([1], np.int64)], keepdims=1)])


def extractor(writer: Writer) -> ir.Value | None:
    """ArrayFeatureExtractor: some columns."""
    wanted = writer.node.inputs[1]
    columns = None if wanted is None else ir.convenience.get_const_tensor(wanted)
    return None if columns is None else writer.write("Gather", [writer.input, columns.numpy().reshape(-1)], axis=1)


RULES = {
    "ArrayFeatureExtractor": extractor,
    "LinearClassifier": linear,
    "LinearRegressor": linear,
    "Normalizer": normaliser,
    "Scaler": scaler,
}
