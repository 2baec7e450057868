"""Adding values at positions of a flattened tensor: the adjoint of any operator that only moves elements.

Where such an operator takes computed parameters, its rule moves the numbers of the elements through the operator
itself, and adds the gradient up at the numbers that come out.
"""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import static_shape

__all__ = ["add_at", "element_numbers", "scatter_flat", "size", "sizes", "zeros"]


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
    return g.reshape_like(g.Range(0, size(g, x), 1), x)


def scatter_flat(g: GraphBuilder, like: ir.Value, indices: ir.Value, values: ir.Value) -> ir.Value:
    """Zeros of the shape of ``like`` with the values added at the row-major positions ``indices`` (int64)."""
    length = g.Reshape(size(g, like), [1])
    return g.reshape_like(add_at(g, length, g.Reshape(indices, [-1]), g.Reshape(values, [-1]), axis=0), like)


def add_at(g: GraphBuilder, shape: ir.Value, indices: ir.Value, values: ir.Value, axis: int | None = None) -> ir.Value:
    """Zeros of a shape with the values added as ScatterElements does along an axis, or ScatterND without one.

    Halves are added up as float32: onnxruntime's CPU scatters no others. ScatterND takes no 32-bit indices.
    """
    dtype = values.dtype
    halves = dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    values = g.Cast(values, to=ir.DataType.FLOAT) if halves else values
    blank = g.Expand(g.constant(0, values.dtype), shape)
    if axis is None:
        at = indices if indices.dtype == ir.DataType.INT64 else g.Cast(indices, to=ir.DataType.INT64)
        sums = g.ScatterND(blank, at, values, reduction="add")
    else:
        sums = g.ScatterElements(blank, indices, values, axis=axis, reduction="add")
    return g.Cast(sums, to=dtype) if halves else sums


def zeros(g: GraphBuilder, like: ir.Value, dy: ir.Value) -> ir.Value:
    """Zeros of the shape of ``like`` and the type of ``dy``, which is a float where ``like`` may be quantised."""
    return g.shaped_like(g.Expand(g.constant(0, dy.dtype), g.shape(like)), like)
