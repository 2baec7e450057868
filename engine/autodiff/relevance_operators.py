"""Which operators LRP knows, and what it does with their relevance; the table is closed: any other is refused."""

from __future__ import annotations

import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from .registry import Gradients

__all__ = ["KEPT", "MOVES", "PASSED", "PRODUCTS", "SUMS", "WEIGHTED", "refused"]

WEIGHTED = frozenset({"BatchNormalization", "Conv", "ConvTranspose", "Gemm"})
PRODUCTS = frozenset({"MatMul", "Mul"})
SUMS = frozenset({"Add", "Sub"})
PASSED = frozenset(
    {"Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Selu", "Sigmoid", "Softplus", "Softsign"}
    | {"Swish", "Tanh", "ThresholdedRelu"}
)
MOVES = frozenset(
    {"Cast", "CastLike", "Concat", "DepthToSpace", "DequantizeLinear", "Dropout", "Expand", "Flatten", "Gather"}
    | {"GatherElements", "GatherND", "Identity", "Pad", "QuantizeLinear", "Reshape", "Slice", "SpaceToDepth", "Split"}
    | {"Squeeze", "Tile", "Transpose", "Unsqueeze"}
)
KEPT = MOVES | {
    *("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LeakyRelu", "MaxPool", "Mean", "Neg", "PRelu", "Relu"),
    *("ReduceMax", "ReduceMean", "ReduceSum", "Resize", "Sum", "Where"),
}

_OF_TRANSFORMERS = frozenset({"Div", "LayerNormalization", "RMSNormalization", "Reciprocal", "Softmax", "Sqrt"})


def refused(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    name = node.name or str(node.outputs[0].name)
    elsewhere = "; composite='attnlrp' is for transformers" if node.op_type in _OF_TRANSFORMERS else ""
    raise UnsupportedOperator(f"operator {node.op_type} (node {name!r}) has no rule of relevance{elsewhere}")
