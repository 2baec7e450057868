"""Clips whose input the reverse pass reads, in onnxruntime's blocked layout on the CPU.

onnxruntime makes a Clip a part of the Conv in front of it where nothing else reads what that makes; by itself a Clip is
outside of the blocked layout, and what it makes goes back there for the next Conv. So the reverse pass gets a Conv of
its own, where that is a quick one, and reads memory that it has just written; else the Clip becomes a part of a
depthwise Conv by 1. Both are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import static_shape
from ..graph.traversal import DependsOn
from .ops.blocked import blocked_channels, in_blocks

__all__ = ["clip_in_blocks"]

_QUICK = 64  # channels that a Conv by 1 reads: it takes no longer than one more pass over what it makes


def clip_in_blocks(g: GraphBuilder) -> bool:
    """Computes such a Clip twice, once for the nodes that the graph builder emitted and once for the model's.

    Nothing in the graph may be unused. True where there was such a Clip: then the nodes are in no order.
    """
    varies, emitted = DependsOn(ir.Value.is_graph_input), frozenset(g.emitted)
    for node in [node for node in g.graph if node.op_type == "Clip" and node.domain == ""]:
        x, y = node.inputs[0], node.outputs[0]
        readers = [user for user, place in y.uses() if place == 0 and user.op_type == "Conv" and user.domain == ""]
        if readers and x is not None and _is_kept(x) and blocked_channels(g, x) and varies(x):
            g.prefix = f"blocked/{node.name or node.op_type}"
            if _is_quick(x) and all(user is node or user in emitted for user, _ in x.uses()):
                _compute_again(g, node, emitted)
            else:
                _clip_again(g, node, readers)
    return len(g.emitted) > len(emitted)


def _clip_again(g: GraphBuilder, clip: ir.Node, readers: Sequence[ir.Node]) -> None:
    """Gives the Conv nodes that read a Clip one of their own; others go on with the model's."""
    x: ir.Value = clip.inputs[0]  # type: ignore[assignment]
    again = g.shaped_like(g.Clip(in_blocks(g, x), *clip.inputs[1:]), clip.outputs[0])
    for reader in readers:
        reader.replace_input_with(0, again)


def _compute_again(g: GraphBuilder, clip: ir.Node, emitted: Collection[ir.Node]) -> None:
    """Gives the emitted nodes a Conv and a Clip of their own; onnxruntime computes them when these are due."""
    x: ir.Value = clip.inputs[0]  # type: ignore[assignment]
    conv: ir.Node = x.producer()  # type: ignore[assignment]
    again = g.shaped_like(g.Conv(*conv.inputs, **_said_otherwise(conv)), x)
    clipped = g.shaped_like(g.Clip(again, *clip.inputs[1:]), clip.outputs[0])
    for old, new in ((x, again), (clip.outputs[0], clipped)):
        for user, place in [(user, place) for user, place in old.uses() if user in emitted]:
            user.replace_input_with(place, new)


def _said_otherwise(conv: ir.Node) -> dict[str, object]:
    """Attributes that mean the same for a kernel of 1 by 1, as onnxruntime computes nodes with equal ones once."""
    said = {name: attribute.value for name, attribute in conv.attributes.items()}
    without = {name: value for name, value in said.items() if name != "dilations"}
    return without if len(without) < len(said) else {**said, "dilations": [1, 1]}


def _is_kept(x: ir.Value) -> bool:
    """Whether a Conv makes x, and more than one node reads it."""
    maker = x.producer()
    return maker is not None and maker.op_type == "Conv" and len(x.uses()) > 1


def _is_quick(x: ir.Value) -> bool:
    """Whether x takes few products to compute, and is not kept for the outputs of the graph."""
    conv = x.producer()
    w = conv.inputs[1] if conv is not None else None
    shape = static_shape(w) if w is not None else None
    whole = conv is not None and conv.attributes.get_int("group", 1) == 1 and not x.is_graph_output()
    return whole and shape is not None and shape[1] <= _QUICK and set(shape[2:]) == {1}
