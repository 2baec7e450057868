"""Some columns of a tensor, taken before what else a model joins with them.

The score of a box then depends on no node that computes its place, such as Exp, so that LRP needs no rule for these.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import axis_before, constant_of

__all__ = ["columns"]

_UNCHANGED = frozenset({"Cast", "Identity"})


def columns(g: GraphBuilder, y: ir.Value, axis: int, start: int, stop: int) -> ir.Value:
    """``y`` from ``start`` to before ``stop`` along an axis from 0 up, sliced as near to the inputs as can be."""
    if (start, stop) == (0, _size(y, axis)):
        return y
    node = y.producer()
    found = None if node is None or node.domain else _before(g, node, axis, start, stop)
    return g.Slice(y, [start], [stop], [axis]) if found is None else found


def _before(g: GraphBuilder, node: ir.Node, axis: int, start: int, stop: int) -> ir.Value | None:
    """The columns from the inputs of the node; None where it is of another kind, or its sizes are open."""
    x, y = node.inputs[0] if node.inputs else None, node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return None
    if node.op_type == "Concat":
        joined = node.attributes.get_int("axis", 0) % len(y.shape)
        return _of_parts(g, node, axis, start, stop) if joined == axis else _of_each(g, node, joined, axis, start, stop)
    if node.op_type in _UNCHANGED:
        return getattr(g, node.op_type)(columns(g, x, axis, start, stop), **node.attributes)
    if node.op_type == "Transpose":
        perm = node.attributes.get_ints("perm", list(range(len(y.shape)))[::-1])
        return g.Transpose(columns(g, x, perm[axis], start, stop), perm=perm)
    return _reshaped(g, node, axis, start, stop) if node.op_type == "Reshape" else None


def _of_parts(g: GraphBuilder, node: ir.Node, axis: int, start: int, stop: int) -> ir.Value | None:
    """Of tensors joined along the axis itself: those, or columns of those, that the range holds."""
    sizes = [0 if x is None else _size(x, axis) for x in node.inputs]
    first, found = 0, []
    for x, size in zip(node.inputs, sizes, strict=True):
        if x is None or size is None:
            return None
        low, high = max(start - first, 0), min(stop - first, size)
        found += [columns(g, x, axis, low, high)] if low < high else []
        first += size
    return _joined(g, found, axis)


def _of_each(g: GraphBuilder, node: ir.Node, joined: int, axis: int, start: int, stop: int) -> ir.Value:
    """Of tensors joined along another axis: the columns of each."""
    return _joined(g, [columns(g, x, axis, start, stop) for x in node.inputs if x is not None], joined)


def _joined(g: GraphBuilder, parts: Sequence[ir.Value], axis: int) -> ir.Value:
    return parts[0] if len(parts) == 1 else g.Concat(*parts, axis=axis)


def _reshaped(g: GraphBuilder, node: ir.Node, axis: int, start: int, stop: int) -> ir.Value | None:
    """Of a Reshape that keeps all axes up to this one, or all from it on."""
    x, shape = node.inputs[:2]
    if x is None or shape is None or node.attributes.get_int("allowzero", 0):
        return None
    own = axis_before(x, node.outputs[0], axis)
    if own is None:
        return None
    return g.Reshape(columns(g, x, own, start, stop), _with_size(g, shape, axis, stop - start))


def _with_size(g: GraphBuilder, shape: ir.Value, axis: int, size: int) -> ir.Value:
    """A shape, of which one number is another; a constant where it is one, as its numbers are known then."""
    if (sizes := constant_of(shape)) is not None:
        return g.constant([*sizes[:axis], size, *sizes[axis + 1 :]], ir.DataType.INT64)
    return g.ScatterElements(shape, [axis], [size], axis=0)


def _size(y: ir.Value, axis: int) -> int | None:
    size = y.shape[axis] if y.shape is not None else None
    return size if isinstance(size, int) else None
