"""Operators that pick elements by index, and those that put them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, vjp
from .scatter import add_at, element_numbers, scatter_flat, zeros
from .slicing import between_margins, spread
from .zeros import other_zeros

__all__ = ["put_slabs"]

_LAST = np.iinfo(np.int64).max


@vjp("Gather")
def gather(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, indices = node.inputs
    axis, known = node.attributes.get_int("axis", 0) % g.rank(x), constant_of(indices)
    if known is None or known.size != 1 or known.ndim > 1:
        return put_slabs(g, x, indices, dy, axis), None
    slab = dy if known.ndim else g.Unsqueeze(dy, [axis])
    index, size = int(known.reshape(())), g.dim(x, axis)
    if isinstance(size, int):
        return spread(g, x, slab, {axis: range(index % size, index % size + 1)}), None
    at, along = (g.constant([n], ir.DataType.INT64) for n in (index, axis))
    return between_margins(g, x, slab, at, along), None


def put_slabs(g: GraphBuilder, x: ir.Value, indices: ir.Value, dy: ir.Value, axis: int) -> ir.Value:
    """Adds the slabs of dy up at their indices along an axis: the adjoint of Gather."""
    at = g.Unsqueeze(indices, [-1])
    if axis == 0:
        return add_at(g, g.shape(x), at, dy)
    rank, wide = g.rank(x), g.rank(indices)
    first = [axis, *range(axis), *range(axis + 1, rank)]
    slabs = g.Transpose(dy, perm=[*range(axis, axis + wide), *range(axis), *range(axis + wide, rank + wide - 1)])
    sums = add_at(g, g.vector([g.dim(x, k) for k in first]), at, slabs)
    return g.Transpose(sums, perm=np.argsort(first).tolist())


@vjp("GatherElements")
def gather_elements(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, indices = node.inputs
    return add_at(g, g.shape(x), indices, dy, node.attributes.get_int("axis", 0)), None


@vjp("GatherND")
def gather_nd(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, indices = node.inputs
    batch_dims = node.attributes.get_int("batch_dims", 0)
    if batch_dims == 0:
        return add_at(g, g.shape(x), indices, dy), None
    return scatter_flat(g, x, g.GatherND(element_numbers(g, x), indices, batch_dims=batch_dims), dy), None


@dataclass(frozen=True)
class _Places:
    """The places that a ScatterElements, or a ScatterND where axis is None, writes to."""

    g: GraphBuilder
    indices: ir.Value
    axis: int | None

    def gather(self, x: ir.Value) -> ir.Value:
        if self.axis is None:
            return self.g.GatherND(x, self.indices)
        return self.g.GatherElements(x, self.indices, axis=self.axis)

    def scatter(self, x: ir.Value, updates: ir.Value, reduction: str) -> ir.Value:
        if self.axis is None:
            return self.g.ScatterND(x, self.indices, updates, reduction=reduction)
        return self.g.ScatterElements(x, self.indices, updates, axis=self.axis, reduction=reduction)


@vjp("ScatterElements", "ScatterND")
def scatter(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Without a reduction the standard wants the indices to be distinct."""
    x, indices, updates = node.inputs
    axis = None if node.op_type == "ScatterND" else node.attributes.get_int("axis", 0)
    places, reduction = _Places(g, indices, axis), node.attributes.get_string("reduction", "none")
    if reduction == "none":
        return places.scatter(dy, zeros(g, updates, dy), "none"), None, places.gather(dy)
    if reduction == "add":
        return dy, None, places.gather(dy)
    dx, d_updates = (_factors if reduction == "mul" else _winners)(g, places, x, updates, node.outputs[0], dy)
    return dx, None, d_updates


def _factors(
    g: GraphBuilder, places: _Places, x: ir.Value, updates: ir.Value, y: ir.Value, dy: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """dy times the other factors of y, which holds when factors are 0, too."""
    others = places.scatter(g.Expand(g.constant(1, dy.dtype), g.shape(x)), updates, "mul")
    nonzero = g.Where(g.Equal(updates, 0), 1, updates)
    product = places.gather(places.scatter(x, nonzero, "mul"))
    blank = zeros(g, x, dy)
    zero = other_zeros(g, updates, lambda value: places.gather(places.scatter(blank, value, "add")))
    return g.Mul(dy, others), g.Mul(places.gather(dy), g.Mul(g.Div(product, nonzero), zero))


def _winners(
    g: GraphBuilder, places: _Places, x: ir.Value, updates: ir.Value, y: ir.Value, dy: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """dy to x where it is the extremum, else to the first of the updates that are."""
    kept = g.Equal(x, y)
    numbers, nobody = element_numbers(g, updates), g.Expand(g.constant(_LAST, ir.DataType.INT64), g.shape(x))
    candidates = g.Where(g.Equal(updates, places.gather(y)), numbers, _LAST)
    first = places.gather(places.scatter(nobody, candidates, "min"))
    return g.Where(kept, dy, 0), g.Where(g.Equal(first, numbers), places.gather(g.Where(kept, 0, dy)), 0)


@vjp("TopK")
def top_k(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, indices = node.inputs[0], node.outputs[1]
    return g.ScatterElements(zeros(g, x, dy), indices, dy, axis=node.attributes.get_int("axis", -1)), None


@vjp("Compress")
def compress(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, condition = node.inputs
    return _put_back(g, node, x, g.Reshape(g.NonZero(condition), [-1]), dy), None


@vjp("Unique")
def unique(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Of equal elements the first counts."""
    (x,), axis = node.inputs, node.attributes.get_int("axis", None)
    _, first = g.Unique(x, axis=axis, sorted=node.attributes.get_int("sorted", 1), outputs=2)
    return _put_back(g, node, x, first, dy)


def _put_back(g: GraphBuilder, node: Node, x: ir.Value, indices: ir.Value, dy: ir.Value) -> ir.Value:
    """Adds dy up at indices along the node's axis, or in the flattened x where it has none."""
    axis = node.attributes.get_int("axis", None)
    return scatter_flat(g, x, indices, dy) if axis is None else put_slabs(g, x, indices, dy, axis % g.rank(x))


@vjp("OneHot")
def one_hot(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    indices, depth, _ = node.inputs
    axis = node.attributes.get_int("axis", -1)
    masks = (g.OneHot(indices, depth, g.constant(pair, dy.dtype), axis=axis) for pair in ([1, 0], [0, 1]))
    sums = [g.Reshape(g.ReduceSum(g.Mul(dy, mask), keepdims=0), [1]) for mask in masks]
    return None, None, g.Concat(*sums, axis=0)
