"""Weights of dense layers so large that a second copy in the order of a kernel costs more than it saves."""

from __future__ import annotations

import onnx_ir as ir

from .file_weights import FileWeight

__all__ = ["large_dense_weights"]

# Bytes that no cache holds. A product with one row then waits for the memory that the weights come from, in whatever
# order. VGG-16's dense layers have 392, 64 and 16 MiB.
_LARGE = 2**25


def large_dense_weights(graph: ir.Graph) -> frozenset[str]:
    """The names of large weights that nothing but products of matrices read, several times, such as there and back.

    onnxruntime packs a constant for each of its products, unless it is an input of the graph.
    """
    return frozenset(name for name, value in graph.initializers.items() if _is_large(value) and _is_dense(value))


def _is_large(value: ir.Value) -> bool:
    held = value.const_value
    aligned = isinstance(held, ir.Tensor | FileWeight) or (
        isinstance(held, ir.ExternalTensor) and (held.offset or 0) % 4 == 0
    )
    return held is not None and aligned and held.dtype == ir.DataType.FLOAT and held.nbytes >= _LARGE


def _is_dense(value: ir.Value) -> bool:
    uses = value.uses()
    private = not value.is_graph_output() and all(node.graph is value.graph for node, _ in uses)
    return private and len(uses) > 1 and all(_multiplies_rows(node, place) for node, place in uses)


def _multiplies_rows(node: ir.Node, place: int) -> bool:
    """Whether a node multiplies a matrix, a row for each example, by its input at this place."""
    rows = node.inputs[0]
    matrix = rows is not None and rows.shape is not None and len(rows.shape) == 2
    return node.op_type in ("Gemm", "MatMul") and place == 1 and matrix
