"""Replaces MatMul with a vector by MatMul with a matrix of one row or column."""

from __future__ import annotations

import onnx_ir as ir

from ..graph import GraphBuilder
from .replace import nodes_of, replace

__all__ = ["matrix_products"]


def matrix_products(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted."""
    g = GraphBuilder(program.graph, prefix="product")
    found = [node for node in nodes_of(program, "MatMul") if any(map(_is_vector, node.inputs))]
    for node in found:
        a, b = node.inputs
        row, column = _is_vector(a), _is_vector(b)
        y = g.MatMul(g.Unsqueeze(a, [0]) if row else a, g.Unsqueeze(b, [1]) if column else b)
        replace(node, g.Squeeze(y, [-2] * row + [-1] * column))
    return bool(found)


def _is_vector(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == 1
