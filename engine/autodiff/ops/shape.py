"""Operators that reshape, reorder, repeat or merely pass on elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, vjp
from .scatter import sizes


@vjp("Identity", "Optional", "OptionalGetElement")
def identity(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return dy


_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
_INTEGER_PRODUCTS = frozenset({"ConvInteger", "MatMulInteger"})  # of quantised tensors, see quantization.py


@vjp("Cast", "CastLike")
def cast(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Rounding to a narrower float counts as passing on; of integers only quantised ones have a gradient."""
    x, target, around = node.inputs[0], node.outputs[0].dtype, [None] * (len(node.inputs) - 1)
    if x.dtype == target:
        return dy, *around
    if target is None or not target.is_floating_point():
        return None, *around
    if x.dtype.is_floating_point():
        return g.Cast(dy, to=x.dtype), *around
    return (dy if _accumulates(x) else None), *around


def _accumulates(x: ir.Value) -> bool:
    """Whether integers are those of a product of quantised tensors, to which a quantised bias may have been added."""
    node = x.producer()
    if node is None or node.domain or node.op_type in _INTEGER_PRODUCTS:
        return node is not None and not node.domain
    passed = {"Add": 2, "Concat": len(node.inputs)}.get(node.op_type, 1 if node.op_type in _MOVES else 0)
    return any(_accumulates(value) for value in node.inputs[:passed] if value is not None)


@vjp("Reshape", "Flatten")
def reshape(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return [g.reshape_like(dy, node.inputs[0]), None][: len(node.inputs)]


@vjp("Squeeze")
def squeeze(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, *axes = node.inputs
    return (g.Unsqueeze(dy, *axes) if axes else g.reshape_like(dy, x)), None


@vjp("Unsqueeze")
def unsqueeze(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Runtimes take a lone axis for a vector of one here, but not in Squeeze."""
    axes = node.inputs[1]
    vector = axes.shape is not None and len(axes.shape) == 1
    return g.Squeeze(dy, axes if vector else g.Reshape(axes, [-1])), None


@vjp("Transpose")
def transpose(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    if "perm" not in node.attributes:
        return g.Transpose(dy)
    return g.Transpose(dy, perm=np.argsort(node.attributes.get_ints("perm")).tolist())


@vjp("Expand")
def expand(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.sum_to(dy, node.inputs[0]), None


@vjp("Tile")
def tile(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Axis k of dy is repeats[k] copies of axis k of x, one after another."""
    x, repeats = node.inputs
    lengths, known = sizes(g, x), constant_of(repeats)
    if known is None:
        counts = g.Unsqueeze(repeats, [1])
        apart = g.Reshape(g.Concat(counts, g.Unsqueeze(g.shape(x), [1]), axis=1), [2 * len(lengths)])
        copies = g.Reshape(dy, apart)
    else:
        copies = g.reshape(dy, [s for pair in zip(known.tolist(), lengths, strict=True) for s in pair])
    return g.ReduceSum(copies, list(range(0, 2 * len(lengths), 2)), keepdims=0), None


@vjp("DepthToSpace")
def depth_to_space(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    block = node.attributes.get_int("blocksize")
    dx = g.SpaceToDepth(dy, blocksize=block)
    return _swap_channels(g, dx, block**2, g.dim(dy, 1)) if _column_first(node) else dx


@vjp("SpaceToDepth")
def space_to_depth(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    block = node.attributes.get_int("blocksize")
    dy = _swap_channels(g, dy, g.dim(node.inputs[0], 1), block**2) if _column_first(node) else dy
    return g.DepthToSpace(dy, blocksize=block)


def _column_first(node: Node) -> bool:
    return node.attributes.get_string("mode", "DCR") == "CRD"


def _swap_channels(g: GraphBuilder, x: ir.Value, outer: int | ir.Value, inner: int | ir.Value) -> ir.Value:
    """Reads the channels of NCHW as a table of outer x inner and turns it."""
    batch, _, *space = sizes(g, x)
    table = g.reshape(x, [batch, outer, inner, *space])
    return g.reshape_like(g.Transpose(table, perm=[0, 2, 1, *range(3, 3 + len(space))]), x)


@vjp("Trilu")
def trilu(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Trilu(dy, *node.inputs[1:], upper=node.attributes.get_int("upper", 1)), None


@vjp("ReverseSequence")
def reverse_sequence(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """A permutation that is its own inverse."""
    axes = {name: node.attributes.get_int(name, k) for k, name in enumerate(("time_axis", "batch_axis"))}
    return g.ReverseSequence(dy, node.inputs[1], **axes), None


@vjp("Dropout")
def dropout(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The ratio gets none: it also draws the mask."""
    ratio, training = (*node.inputs[1:], None, None)[:2]
    known = constant_of(training)
    if training is None or (known is not None and not known):
        return dy, None, None
    keep = 0.5 if ratio is None else g.Sub(1, g.Cast(ratio, to=dy.dtype))
    kept = g.Where(_mask(g, node), dy, 0)
    scaled = g.Div(kept, keep)
    return (scaled if known is not None else g.Where(training, scaled, dy)), None, None


def _mask(g: GraphBuilder, node: Any) -> ir.Value:
    """The mask of what a Dropout kept; that output is added where the model has no use for it."""
    if len(node.outputs) < 2:
        node.resize_outputs(2)
    mask = node.outputs[1]
    mask.name = mask.name or g.fresh(f"{node.outputs[0].name}_mask")
    mask.type, mask.shape = ir.TensorType(ir.DataType.BOOL), node.outputs[0].shape
    return mask
