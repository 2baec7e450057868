"""The determinant, and com.microsoft's inverse."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp


@vjp("Det")
def det(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The cofactors (Jacobi's formula), which exist for singular matrices, too: determinants of the minors."""
    (x,) = node.inputs
    n, rank = g.dim(x, -1), g.rank(x)
    if not isinstance(n, int):
        raise ValueError("the size of the matrices must be known before the model runs")
    wide_dy = g.Unsqueeze(dy, [-2, -1]) if rank > 2 else dy
    if n == 1:
        return g.reshape_like(wide_dy, x)
    others = g.constant([[k for k in range(n) if k != row] for row in range(n)], ir.DataType.INT64)
    rows = g.Gather(x, others, axis=rank - 2)
    minors = g.Gather(rows, others, axis=rank)
    turned = g.Transpose(minors, perm=[*range(rank - 2), rank - 2, rank, rank - 1, rank + 1])
    signs = g.constant((-1.0) ** np.add.outer(np.arange(n), np.arange(n)), x.dtype)
    return g.reshape_like(g.Mul(wide_dy, g.Mul(signs, g.Det(turned))), x)


@vjp("Inverse", domain="com.microsoft")
def inverse(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """-Y^T dY Y^T (Petersen and Pedersen, The Matrix Cookbook, 2012, equation 59)."""
    turned = g.swap_last(node.outputs[0])
    return g.Neg(g.MatMul(turned, g.MatMul(dy, turned)))
