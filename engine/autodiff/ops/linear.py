"""Matrix products."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, Unsettled, vjp
from .einsum import operand_gradients


@vjp("MatMul")
def matmul(g: GraphBuilder, node: Node, dy: ir.Value) -> Unsettled:
    """A vector counts as a matrix with one row or one column, which numpy's rules add and remove again.

    For plain matrices, Gemm(transB=1) avoids a transposed copy of B, which a runtime would hold while it loads.
    """
    a, b = node.inputs
    row, column = g.rank(a) == 1, g.rank(b) == 1
    if row and column:
        return g.Mul(dy, b), g.Mul(dy, a)
    a = g.Unsqueeze(a, [0]) if row else a
    b = g.Unsqueeze(b, [1]) if column else b
    dy = g.Unsqueeze(dy, [-1]) if column else dy
    dy = g.Unsqueeze(dy, [-2]) if row else dy

    def da() -> ir.Value:
        plain = g.rank(dy) == g.rank(b) == 2
        found = g.Gemm(dy, b, transB=1) if plain else g.MatMul(dy, g.swap_last(b))
        return g.Squeeze(found, [-2]) if row else found

    def db() -> ir.Value:
        found = g.MatMul(g.swap_last(a), dy)
        return g.Squeeze(found, [-1]) if column else found

    return [da, db]


@vjp("Gemm")
def gemm(g: GraphBuilder, node: Node, dy: ir.Value) -> Unsettled:
    a, b, c = (*node.inputs, None)[:3]
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    ta, tb = node.attributes.get_int("transA", 0), node.attributes.get_int("transB", 0)

    def da() -> ir.Value:
        return g.Gemm(b, dy, alpha=alpha, transA=tb, transB=1) if ta else g.Gemm(dy, b, alpha=alpha, transB=1 - tb)

    def db() -> ir.Value:
        return g.Gemm(dy, a, alpha=alpha, transA=1, transB=ta) if tb else g.Gemm(a, dy, alpha=alpha, transA=1 - ta)

    return [da, db, None if c is None else lambda: g.sum_to(g.Mul(dy, beta), c)]


@vjp("Einsum")
def einsum(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return operand_gradients(g, node, dy)
