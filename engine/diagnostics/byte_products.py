"""Products of 8 bits: whether this processor's kernels cut their sums off, and which layers that may change."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import onnx_ir as ir

from ..graph.model import Model
from ..runtime import open_session
from .differentiability import node_info

__all__ = ["layers_at_risk", "products_saturate"]

EXACT = 8 * 255 * 127  # the sum of eight largest products, as PRODUCT computes it
PAIR = 128  # 255 * (|v| + |w|) fits into 16 bits up to here
WEIGHT = {"QLinearConv": 3, "QLinearMatMul": 3, "ConvInteger": 1, "MatMulInteger": 1}
READ_DEQUANTIZED = {"Conv": 1, "MatMul": 1, "Gemm": 1}
PRODUCT = """<ir_version: 8, opset_import: ["" : 17]>
net (uint8[1, 8] a) => (int32[1, 4] y) <int8[8, 4] b = {WEIGHTS}> { y = MatMulInteger (a, b) }"""


@cache
def products_saturate() -> bool:
    """Whether onnxruntime's CPU kernel cuts the sum of two products of uint8 and int8 off at 16 bits.

    Measured by one product of the largest numbers: x86 processors without VNNI do, where the kernel uses VPMADDUBSW.
    """
    model = onnx.parser.parse_model(PRODUCT.replace("WEIGHTS", ", ".join(["127"] * 32)))
    found = open_session(model).run({"a": np.full((1, 8), 255, np.uint8)})["y"]
    return int(found.min()) < EXACT


def layers_at_risk(model: Model) -> list[str]:
    """The nodes whose activations are uint8 and whose constant weights are int8 beyond 7 bits."""
    return [node_info(node).node for node in model.graph if _overflows(_weights_of(node))]


def _weights_of(node: ir.Node) -> np.ndarray | None:
    """The int8 weights that a node multiplies with uint8 activations."""
    if node.op_type in WEIGHT:
        return _constant_int8(node.inputs[WEIGHT[node.op_type]]) if _is_uint8(node.inputs[0]) else None
    if node.op_type in READ_DEQUANTIZED:
        pair = [_dequantized(one) for one in node.inputs[:2]]
        return _constant_int8(pair[1]) if _is_uint8(pair[0]) else None
    return None


def _dequantized(value: ir.Value | None) -> ir.Value | None:
    """What a DequantizeLinear made a value of."""
    made = None if value is None else value.producer()
    return made.inputs[0] if made is not None and made.op_type == "DequantizeLinear" else None


def _is_uint8(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.UINT8


def _constant_int8(value: ir.Value | None) -> np.ndarray | None:
    made = None if value is None else value.producer()
    if made is not None and made.op_type == "Identity":  # a constant that several layers share
        return _constant_int8(made.inputs[0])
    constant = None if value is None else ir.convenience.get_const_tensor(value)
    return constant.numpy() if constant is not None and constant.dtype == ir.DataType.INT8 else None


def _overflows(weights: np.ndarray | None) -> bool:
    """Which weights meet in a pair the kernel decides: the two largest may."""
    if weights is None or weights.size < 2:
        return False
    two = np.partition(np.abs(weights.astype(np.int16)), -2, axis=None)[-2:]
    return int(two.sum()) > PAIR
