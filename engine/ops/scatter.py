"""Adding values at positions of a flattened tensor: the adjoint of any operator that only moves elements.

Where such an operator takes computed parameters, its rule moves the numbers of the elements through the operator
itself, and adds the gradient up at the numbers that come out.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph import GraphBuilder
from ..shapes import static_shape

__all__ = ["element_numbers", "scatter_flat", "size", "sizes", "zeros"]


def sizes(g: GraphBuilder, x: ir.Value) -> list[int | ir.Value]:
    """The sizes of all axes."""
    return [g.dim(x, axis) for axis in range(g.rank(x))]


def size(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """The number of elements, an int64 scalar."""
    known = static_shape(x)
    count = 1
    for n in known or ():
        count *= n
    return g.Size(x) if known is None else g.constant(count, ir.DataType.INT64)


def element_numbers(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """An int64 tensor of the shape of x that holds 0, 1, 2, ... in row-major order."""
    return g.reshape_like(g.Range(g.constant(0, ir.DataType.INT64), size(g, x), 1), x)


def scatter_flat(g: GraphBuilder, like: ir.Value, indices: ir.Value, values: ir.Value) -> ir.Value:
    """Zeros of the shape of ``like`` with the values added at the row-major positions ``indices`` (int64)."""
    blank = g.Expand(g.constant(0, values.dtype), g.Reshape(size(g, like), [1]))
    flat = g.ScatterElements(blank, g.Reshape(indices, [-1]), g.Reshape(values, [-1]), axis=0, reduction="add")
    return g.reshape_like(flat, like)


def zeros(g: GraphBuilder, like: ir.Value, dy: ir.Value) -> ir.Value:
    """Zeros of the shape of ``like`` and the type of ``dy``, which is a float where ``like`` may be quantised."""
    return g.shaped_like(g.Expand(g.constant(0, dy.dtype), g.shape(like)), like)
