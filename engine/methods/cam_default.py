"""The layer that a class activation map explains where none is named: the last feature maps before pooling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir

from ..autodiff.paths import depends_on, reached_nodes
from ..autodiff.registry import Overlay
from ..errors import ModelError
from ..graph.model import Layer, Model
from .cam_default_tokens import default_tokens, is_first
from .cam_layers import KEEPS_AXES, as_floats, has_one_place, nameable, order_of
from .cam_tokens import CONVOLUTIONS, TOKEN_NORMS

__all__ = ["THROUGH", "default_layer"]

# What lies between the scores that are read out of a head and the layers that compute them.
_READS_OUT = (KEEPS_AXES - TOKEN_NORMS) | {
    "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "LogSoftmax", "ReduceMax", "ReduceSum", "Reshape",
    "ScatterElements", "ScatterND", "Softmax", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Unsqueeze",
}  # fmt: skip
_MAP_NORMS = frozenset({"BatchNormalization", "GroupNormalization", "InstanceNormalization", "LRN"})
_KEEPS_PLACES = (KEEPS_AXES | _MAP_NORMS) - {"Pad", "Resize", "Slice"}
_SAME = frozenset({"Cast", "CastLike", "Dropout", "Identity"})
_CHOICES = frozenset({ir.DataType.BOOL, ir.DataType.INT64})  # indices and conditions, to which no gradient goes


class _Through(Overlay):
    """Stands for a gradient through every node, as methods need none."""

    def overrides(self, node: ir.Node) -> bool:
        return True


THROUGH = _Through("through")


def default_layer(
    method: str, model: Model, of: ir.Value, wrt: Iterable[ir.Value], overlay: Overlay | None = None
) -> Layer:
    """The last feature maps before pooling that all scores depend on, behind their activation; ModelError without any.

    Of transformers it is the tokens that the last attention reads, behind their norm; they must fold to a grid.

    ``overlay``: where a gradient goes on; THROUGH, everywhere.
    From the last convolution the maps are followed through what keeps their places: norms, activations, sums, gates.
    """
    behind = depends_on(model.graph, wrt, overlay)
    nodes = reached_nodes(model.graph, [of], behind, overlay)
    common = _common(of, nodes)
    convolution = _last_convolution(nodes, common)
    if convolution is None:
        raise ModelError(f"{method} found no convolution between input and score; name a layer with layer=")
    tokens, is_transformer = default_tokens(nodes, convolution, behind, common)
    if tokens is not None:
        return _as_layer(tokens)
    if is_transformer and is_first(convolution):
        raise ModelError(
            f"{method}: the last convolution, {convolution.name or convolution.outputs[0].name!r}, embeds the patches "
            f"of a transformer, and no tokens behind it fold to a grid of patches; {nameable(model)}"
        )
    return _as_layer(_behind_activation(convolution, nodes, common))


def _as_layer(value: ir.Value) -> Layer:
    node = value.producer()
    return Layer((node.name if node is not None else None) or str(value.name), str(value.name))


def _common(of: ir.Value, nodes: Iterable[ir.Node]) -> set[ir.Value]:
    """The values that everything the scores are read out of depends on: all boxes of a detector, all its numbers."""
    makers = {output: node for node in nodes for output in node.outputs}
    before = [_before(node, makers) for node in _heads(of, makers)]
    return set.intersection(*before) if before else set()


def _heads(of: ir.Value, makers: Mapping[ir.Value, ir.Node]) -> Iterator[ir.Node]:
    """The nodes that compute what the scores are read out of."""
    waiting, seen = [of], set[ir.Value]()
    while waiting:
        value = waiting.pop()
        node = makers.get(value)
        if node is None or value in seen:
            continue
        seen.add(value)
        if node.domain == "" and node.op_type in _READS_OUT:
            waiting.extend(x for x in node.inputs if x is not None and x.dtype not in _CHOICES)
        else:
            yield node


def _before(node: ir.Node, makers: Mapping[ir.Value, ir.Node]) -> set[ir.Value]:
    """The values that a node depends on with a gradient."""
    found, waiting = set[ir.Value](), [x for x in node.inputs if x in makers]
    while waiting:
        value = waiting.pop()
        if value is not None and value not in found:
            found.add(value)
            waiting.extend(x for x in makers[value].inputs if x in makers)
    return found


def _last_convolution(nodes: Iterable[ir.Node], common: set[ir.Value]) -> ir.Node | None:
    """The last convolution that all scores depend on, or at least some; not one whose map has one element."""
    found = [as_floats(node) for node in nodes if node.domain == "" and node.op_type in CONVOLUTIONS]
    maps = [node for node in found if not has_one_place(node.outputs[0])]
    shared = [node for node in maps if node.outputs[0] in common]
    return (shared or maps or [None])[-1]


def _behind_activation(convolution: ir.Node, nodes: Iterable[ir.Node], common: set[ir.Value]) -> ir.Value:
    """The last value that has the places of a convolution's map and comes from it by what keeps places."""
    last = convolution.outputs[0]
    axes = {last: 1}
    sizes = _sizes(last, 1)
    for node in nodes:
        y = node.outputs[0]
        axis = next((_axis(node, axes[x]) for x in node.inputs if x in axes), None)
        if axis is None or y not in common or y in axes or len(y.shape or ()) != len(last.shape or ()):
            continue
        if all(
            a == b for a, b in zip(sizes, _sizes(y, axis), strict=True) if isinstance(a, int) and isinstance(b, int)
        ):
            axes[y] = axis
            last = last if node.op_type in _SAME else y
    return last


def _sizes(value: ir.Value, channels: int) -> list[int | ir.SymbolicDim]:
    return [size for axis, size in enumerate(value.shape or ()) if axis not in (0, channels)]


def _axis(node: ir.Node, axis: int) -> int | None:
    """Where a node that keeps the places of its input lays the channels; None for other nodes."""
    rank = len(node.outputs[0].shape or ())
    if node.domain != "":
        return None
    if node.op_type == "Transpose":
        order = order_of(node, rank)
        return order.index(axis) if order[0] == 0 else None
    if node.op_type == "Concat":
        return axis if node.attributes.get_int("axis", 1) % rank == axis else None
    if node.op_type == "MatMul":
        return axis if axis == rank - 1 else None
    return axis if node.op_type in _KEEPS_PLACES else None
