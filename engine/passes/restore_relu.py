"""Puts a Relu where a quantisation tool merged one into the end of a type: before a QuantizeLinear.

A product whose quantised type begins at 0 was rectified, and so was a sum of what may be negative; nothing changes but
that Relu policies find its node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .rewrite import rewrite_nodes

__all__ = ["restore_relu"]

_PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})


def restore_relu(program: ir.Model) -> bool:
    """Works in place; true where there was one."""
    return rewrite_nodes(program, [node for node in program.graph if _rectifies(node)], _after_a_relu)


def _rectifies(node: ir.Node) -> bool:
    maker = _maker(node.inputs[0]) if node.op_type == "QuantizeLinear" else None
    kind = node.outputs[0].dtype
    if maker is None or kind is None or not kind.is_integer() or not _begins_at_0(node, kind):
        return False
    return maker.op_type in _PRODUCTS or (maker.op_type == "Add" and any(map(_may_be_negative, maker.inputs)))


def _maker(value: ir.Value | None) -> ir.Node | None:
    """The node that a value is from, whatever the order of its axes."""
    node = value.producer() if value is not None else None
    return _maker(node.inputs[0]) if node is not None and node.op_type == "Transpose" else node


def _begins_at_0(node: ir.Node, kind: ir.DataType) -> bool:
    zero = constant_of(node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.int64)  # of uint8, the default
    return zero is not None and bool((zero == kind.min).all())


def _may_be_negative(value: ir.Value | None) -> bool:
    """Whether a term of a sum may be: a quantised one whose type begins at 0 may not."""
    node = _maker(value)
    if node is None or node.op_type != "DequantizeLinear" or node.inputs[0] is None or node.inputs[0].dtype is None:
        return True
    return not _begins_at_0(node, node.inputs[0].dtype)


def _after_a_relu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, *grid = node.inputs
    return [g.QuantizeLinear(g.Relu(x), *grid, **node.attributes)]
