"""Clips whose input is kept, in onnxruntime's blocked layout on the CPU.

onnxruntime makes a Clip a part of the Conv in front of it where nothing else reads what that makes; by itself a Clip is
outside of the blocked layout, and what it makes goes back there for the next Conv. Behind a depthwise Conv by 1 it is a
part of that one, the same to the last bit.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.traversal import DependsOn
from .ops.blocked import blocked_channels, in_blocks

__all__ = ["clip_in_blocks"]


def clip_in_blocks(g: GraphBuilder) -> bool:
    """Gives the Conv nodes that read such a Clip one of their own; others go on with the model's.

    Nothing in the graph may be unused. True where there was such a Clip: then the nodes are in no order.
    """
    varies, before = DependsOn(ir.Value.is_graph_input), len(g.emitted)
    for node in [node for node in g.graph if node.op_type == "Clip" and node.domain == ""]:
        x, y = node.inputs[0], node.outputs[0]
        readers = [user for user, place in y.uses() if place == 0 and user.op_type == "Conv" and user.domain == ""]
        if readers and x is not None and _is_kept(x) and blocked_channels(g, x) and varies(x):
            g.prefix = f"blocked/{node.name or node.op_type}"
            again = g.shaped_like(g.Clip(in_blocks(g, x), *node.inputs[1:]), y)
            for reader in readers:
                reader.replace_input_with(0, again)
    return len(g.emitted) > before


def _is_kept(x: ir.Value) -> bool:
    """Whether a Conv makes x, and more than one node reads it."""
    maker = x.producer()
    return maker is not None and maker.op_type == "Conv" and len(x.uses()) > 1
