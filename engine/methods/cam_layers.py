"""Layers with feature maps: the axis of a tensor that holds the channels, and the default layer of Grad-CAM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from ..autodiff.ops.window import spatial_shape
from ..autodiff.paths import depends_on, reached_nodes
from ..autodiff.relu_policies import ACTIVATIONS
from ..errors import ModelError
from ..graph.model import Layer, Model
from ..graph.traversal import ancestors

__all__ = ["channel_axis", "default_layer", "find_default_layer"]

CONVOLUTIONS = frozenset({"Conv", "ConvInteger"})
NAMED = 4  # layers that an error names

# The standard lays the channels of what these give, and of what they read, on axis 1.
_CHANNELS_SECOND = CONVOLUTIONS | {
    "AveragePool", "BatchNormalization", "ConvTranspose", "DeformConv", "DepthToSpace", "GlobalAveragePool",
    "GlobalLpPool", "GlobalMaxPool", "GridSample", "GroupNormalization", "InstanceNormalization", "LRN", "LpPool",
    "MaxPool", "MaxUnpool", "QLinearConv", "SpaceToDepth",
}  # fmt: skip
_KEEPS_AXES = ACTIVATIONS | {
    "Abs", "Add", "Cast", "CastLike", "Concat", "DequantizeLinear", "Div", "Dropout", "Erf", "Exp", "Identity",
    "LayerNormalization", "Log", "LpNormalization", "Max", "Mean", "Min", "Mul", "Neg", "Pad", "Pow", "QuantizeLinear",
    "RMSNormalization", "Resize", "Slice", "Sqrt", "Sub", "Sum", "Where",
}  # fmt: skip


def channel_axis(method: str, model: Model, layer: Layer, value: ir.Value) -> int:
    """The axis of a layer's tensor that holds the channels; ModelError where there are no maps, or where nothing tells.

    The layout in the model's metadata tells, or a convolution (or its like) that makes or reads the tensor. Tensors of
    rank 4 and more that come from a product with a weight matrix have their channels last.
    """
    rank = 0 if value.shape is None else len(value.shape)
    if rank < 3:
        raise ModelError(f"{method} needs a layer with feature maps; {layer.name!r} has shape {value.shape}")
    layout = layer.layout or next((one.layout for one in model.layers.values() if one.tensor == layer.tensor), None)
    if layout and "C" in layout and layout[0] == "N" and len(layout) == rank:
        return layout.index("C")
    found = _axis_of_maker(value, set())
    found = _axis_of_readers(value, set()) if found is None else found
    if found is None:
        raise ModelError(
            f"{method} cannot tell which axis of {layer.name!r}, shape {value.shape}, holds the channels: no "
            "convolution makes or reads it, and the metadata have no layout of it, which 'onnxray convert' writes; "
            f"{_nameable(model)}"
        )
    return found


def default_layer(method: str, model: Model, of: ir.Value, wrt: Iterable[ir.Value]) -> Layer:
    """The last convolution between inputs and score whose map has more than one element; ModelError if there is none.

    The patch embedding of a transformer is refused: its map is made before any evidence is weighed.
    """
    node = find_default_layer(model.graph, of, wrt)
    if node is None:
        raise ModelError(f"{method} found no convolution between input and score; name a layer with layer=")
    if _embeds_patches(model.graph, node, of):
        raise ModelError(
            f"{method}: the last convolution, {node.name or node.outputs[0].name!r}, embeds the patches of a "
            f"transformer, and maps of tokens are not supported yet; {_nameable(model)}"
        )
    return Layer(node.name or "", str(node.outputs[0].name))


def find_default_layer(graph: ir.Graph, of: ir.Value, wrt: Iterable[ir.Value]) -> ir.Node | None:
    """The last convolution that a gradient of ``of`` reaches; not one whose map has one element, as those of heads."""
    nodes = reached_nodes(graph, [of], depends_on(graph, wrt))
    convolutions = [_as_floats(node) for node in nodes if node.domain == "" and node.op_type in CONVOLUTIONS]
    return next((node for node in reversed(convolutions) if not _is_head(node.outputs[0])), None)


def _is_head(value: ir.Value) -> bool:
    """Whether a map has one element, as convolutions that stand for fully connected layers give."""
    sizes = spatial_shape(value)
    return sizes is not None and all(size == 1 for size in sizes)


def _as_floats(node: ir.Node) -> ir.Node:
    """A convolution, or the Cast behind one of integers."""
    casts = [use.node for use in node.outputs[0].uses() if use.node.op_type == "Cast"]
    return casts[0] if node.op_type == "ConvInteger" and casts else node


def _embeds_patches(graph: ir.Graph, node: ir.Node, of: ir.Value) -> bool:
    """Whether attention, or a LayerNormalization of tokens (N, T, C), lies between a convolution and the score."""
    behind = depends_on(graph, node.outputs)
    nodes = [one for one in reached_nodes(graph, [of], behind) if one is not node]
    planes = len(node.outputs[0].shape or ()) > 3
    tokens = [one for one in nodes if one.op_type in ("LayerNormalization", "RMSNormalization") and planes]
    return any(len(one.outputs[0].shape or ()) == 3 for one in tokens) or any(_attends(one, behind) for one in nodes)


def _attends(node: ir.Node, behind: set[ir.Value]) -> bool:
    """Whether a node multiplies two tensors that depend on the data, one of them the softmax of such a product."""
    if node.op_type == "Attention":
        return True
    varying = [x for x in node.inputs if x in behind]
    return node.op_type in ("MatMul", "Einsum") and len(varying) == 2 and any(map(_is_softmax, varying))


def _is_softmax(value: ir.Value | None) -> bool:
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == "Softmax":
            return True
        value = node.inputs[0] if node.op_type in ("Cast", "Dropout", "Identity", "Reshape", "Transpose") else None
    return False


def _axis_of_maker(value: ir.Value, seen: set[ir.Value]) -> int | None:
    """Where the nodes that make a tensor lay its channels."""
    node = value.producer()
    if node is None or node.domain != "" or value in seen:
        return None
    seen.add(value)
    rank = len(value.shape or ())
    if node.op_type in _CHANNELS_SECOND:
        return 1
    if node.op_type == "MatMul" and rank > 3 and node.inputs[1] is not None and not _varies(node.inputs[1]):
        return rank - 1
    if node.op_type == "Transpose" and node.inputs[0] is not None:
        axis, order = _axis_of_maker(node.inputs[0], seen), _order(node, rank)
        return None if axis is None or order[0] != 0 else order.index(axis)
    if node.op_type not in _KEEPS_AXES:
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
    if node.op_type == "Transpose":
        axis, order = _axis_of_readers(y, seen), _order(node, len(y.shape or ()))
        return None if axis is None or order[0] != 0 else order[axis]
    read = node.inputs[index]
    same = read is not None and len(y.shape or ()) == len(read.shape or ())
    return _axis_of_readers(y, seen) if node.op_type in _KEEPS_AXES and same else None


def _order(node: ir.Node, rank: int) -> Sequence[int]:
    """The axes of a Transpose's input in the order of its output's; reversed by default."""
    return list(node.attributes.get_ints("perm", list(range(rank))[::-1]))


def _varies(value: ir.Value) -> bool:
    return any(one.is_graph_input() for one in ancestors([value]))


def _nameable(model: Model) -> str:
    """The layers that --layer may name: those whose layout the metadata have, and convolutions with maps."""
    known = [one.name for one in model.layers.values() if len(one.layout or "") > 2 and "C" in (one.layout or "")]
    nodes = [node for node in model.graph if node.op_type in CONVOLUTIONS and not _is_head(node.outputs[0])]
    names = list(dict.fromkeys([*known, *(str(node.name or node.outputs[0].name) for node in nodes)]))
    shown = ", ".join(map(repr, names[-NAMED:]))
    return f"name a layer with layer=, such as {shown}" if names else "the model has no convolution with maps"
