"""Layers with feature maps: the axis of a tensor that holds the channels."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..autodiff.ops.window import spatial_shape
from ..autodiff.relu_policies import ACTIVATIONS
from ..errors import ModelError
from ..graph.model import Layer, Model
from ..graph.traversal import depends_on_inputs
from .cam_tokens import CONVOLUTIONS, TOKEN_NORMS, grid_of

__all__ = ["KEEPS_AXES", "as_floats", "channel_axis", "has_one_place", "nameable", "order_of"]

NAMED = 4  # layers that an error names

# The standard lays the channels of what these give, and of what they read, on axis 1.
_CHANNELS_SECOND = CONVOLUTIONS | {
    "AveragePool", "BatchNormalization", "ConvTranspose", "DeformConv", "DepthToSpace", "GlobalAveragePool",
    "GlobalLpPool", "GlobalMaxPool", "GridSample", "GroupNormalization", "InstanceNormalization", "LRN", "LpPool",
    "MaxPool", "MaxUnpool", "SpaceToDepth",
}  # fmt: skip
KEEPS_AXES = ACTIVATIONS | TOKEN_NORMS | {
    "Abs", "Add", "Cast", "CastLike", "Concat", "DequantizeLinear", "Div", "Dropout", "Erf", "Exp", "Identity",
    "Log", "LpNormalization", "Max", "Mean", "Min", "Mul", "Neg", "Pad", "Pow", "QuantizeLinear", "Resize", "Slice",
    "Sqrt", "Sub", "Sum", "Where",
}  # fmt: skip


def channel_axis(method: str, model: Model, layer: Layer, value: ir.Value) -> int:
    """The axis of a layer's tensor that holds the channels; ModelError where there are no maps, or where nothing tells.

    The layout in the model's metadata tells; of tokens, which axis counts the patches of a convolution; or a
    convolution (or its like) that makes or reads the tensor. What a norm over the last axis makes or reads has its
    channels last, and so has, of rank 4 and more, a product with a weight matrix.
    """
    rank = 0 if value.shape is None else len(value.shape)
    if rank < 3:
        raise ModelError(f"{method} needs a layer with feature maps; {layer.name!r} has shape {value.shape}")
    layout = layer.layout or next((one.layout for one in model.layers.values() if one.tensor == layer.tensor), None)
    if layout and "C" in layout and layout[0] == "N" and len(layout) == rank:
        return layout.index("C")
    counted = [grid.axis for grid in grid_of(value)]
    if len(counted) == 1:
        return 3 - counted[0]
    found = _axis_of_maker(value, set())
    found = _axis_of_readers(value, set()) if found is None else found
    if found is None:
        raise ModelError(
            f"{method} cannot tell which axis of {layer.name!r}, shape {value.shape}, holds the channels: no "
            "convolution makes or reads it, and the metadata have no layout of it, which 'onnxray convert' writes; "
            f"{nameable(model)}"
        )
    return found


def has_one_place(value: ir.Value) -> bool:
    """Whether a map has one element, as convolutions that stand for fully connected layers give."""
    sizes = spatial_shape(value)
    return sizes is not None and all(size == 1 for size in sizes)


def as_floats(node: ir.Node) -> ir.Node:
    """A convolution, or the Cast behind one of integers."""
    casts = [use.node for use in node.outputs[0].uses() if use.node.op_type == "Cast"]
    return casts[0] if node.op_type == "ConvInteger" and casts else node


def _axis_of_maker(value: ir.Value, seen: set[ir.Value]) -> int | None:
    """Where the nodes that make a tensor lay its channels."""
    node = value.producer()
    if node is None or node.domain != "" or value in seen:
        return None
    seen.add(value)
    rank = len(value.shape or ())
    if node.op_type in _CHANNELS_SECOND:
        return 1
    if node.op_type in TOKEN_NORMS and node.attributes.get_int("axis", -1) in (-1, rank - 1):
        return rank - 1
    if node.op_type == "MatMul" and rank > 3 and node.inputs[1] is not None and not depends_on_inputs(node.inputs[1]):
        return rank - 1
    if node.op_type == "Transpose" and node.inputs[0] is not None:
        axis, order = _axis_of_maker(node.inputs[0], seen), order_of(node, rank)
        return None if axis is None or order[0] != 0 else order.index(axis)
    if node.op_type not in KEEPS_AXES:
        return None
    same = [x for x in node.inputs if x is not None and len(x.shape or ()) == rank]
    return next((axis for x in same if (axis := _axis_of_maker(x, seen)) is not None), None)


def _axis_of_readers(value: ir.Value, seen: set[ir.Value]) -> int | None:
    """Where the nodes that read a tensor expect its channels."""
    if value in seen:
        return None
    seen.add(value)
    return next((axis for use in value.uses() if (axis := _axis_of_reader(use.node, use.idx, seen)) is not None), None)


def _axis_of_reader(node: ir.Node, index: int, seen: set[ir.Value]) -> int | None:
    y = node.outputs[0]
    if node.domain != "":
        return None
    if node.op_type in _CHANNELS_SECOND:
        return 1 if index == 0 else None
    last = len(y.shape or ()) - 1
    if node.op_type in TOKEN_NORMS and index == 0 and node.attributes.get_int("axis", -1) in (-1, last):
        return last
    if node.op_type == "Transpose":
        axis, order = _axis_of_readers(y, seen), order_of(node, len(y.shape or ()))
        return None if axis is None or order[0] != 0 else order[axis]
    read = node.inputs[index]
    same = read is not None and len(y.shape or ()) == len(read.shape or ())
    return _axis_of_readers(y, seen) if node.op_type in KEEPS_AXES and same else None


def order_of(node: ir.Node, rank: int) -> Sequence[int]:
    """The axes of a Transpose's input in the order of its output's; reversed by default."""
    return list(node.attributes.get_ints("perm", list(range(rank))[::-1]))


def nameable(model: Model) -> str:
    """The layers that --layer may name: those whose layout the metadata have, and convolutions with maps."""
    known = [one.name for one in model.layers.values() if len(one.layout or "") > 2 and "C" in (one.layout or "")]
    nodes = [node for node in model.graph if node.op_type in CONVOLUTIONS and not has_one_place(node.outputs[0])]
    names = list(dict.fromkeys([*known, *(str(node.name or node.outputs[0].name) for node in nodes)]))
    shown = ", ".join(map(repr, names[-NAMED:]))
    return f"name a layer with layer=, such as {shown}" if names else "the model has no convolution with maps"
