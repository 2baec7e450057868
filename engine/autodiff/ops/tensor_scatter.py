"""TensorScatter writes the newest keys or values into a cache."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp
from .scatter import element_numbers, scatter_flat, zeros


@vjp("TensorScatter")
def tensor_scatter(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The cache keeps the gradient of what was not overwritten; element numbers tell where the update went."""
    (past, update), rest = node.inputs[:2], node.inputs[2:]
    nowhere = g.Expand(g.constant(-1, ir.DataType.INT64), g.shape(past))
    came_from = g.TensorScatter(nowhere, element_numbers(g, update), *rest, **node.attributes)
    fresh = g.GreaterOrEqual(came_from, 0)
    d_update = scatter_flat(g, update, g.Max(came_from, 0), g.Where(fresh, dy, 0))
    return g.TensorScatter(dy, zeros(g, update, dy), *rest, **node.attributes), d_update, *[None] * len(rest)
