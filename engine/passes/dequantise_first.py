"""Replaces moves of quantised embeddings by moves of what they stand for: equal results, to the last bit.

An optimiser that quantises a table lets integers through Transpose and its kin and dequantises them behind it, in a
place of its own for every reader. Then no floating-point tensor holds the embeddings that all readers see.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.moving_operators import MOVING
from ..graph.shapes import static_shape
from .rewrite import rewrite_nodes

__all__ = ["dequantise_first"]


def dequantise_first(program: ir.Model) -> bool:
    """Works in place; true where there was one."""
    found = [node for node in program.graph if _moved(node) is not None]
    if not found:
        return False
    for node in found:
        rewrite_nodes(program, [node], _swapped)
    program.graph.sort()
    dequantise_first(program)
    return True


def _moved(node: ir.Node) -> ir.Node | None:
    """The node that moves the embeddings that a DequantizeLinear of one scale reads, if there is one."""
    if node.domain or node.op_type != "DequantizeLinear" or node.inputs[0] is None:
        return None
    move = maker = node.inputs[0].producer()
    whole = all(value is None or static_shape(value) in ((), (1,)) for value in node.inputs[1:])
    while maker is not None and not maker.domain and maker.op_type in MOVING and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    looked_up = maker is not None and not maker.domain and maker.op_type == "Gather"
    return move if whole and looked_up and move is not maker else None


def _swapped(g: GraphBuilder, node: Any) -> list[ir.Value]:
    move = node.inputs[0].producer()
    x, grid = move.inputs[0], list(node.inputs[1:])
    readers = [use.node for use in x.uses() if use.node.op_type == "DequantizeLinear"]
    real = next((reader.outputs[0] for reader in readers if list(reader.inputs[1:]) == grid), None)
    made = g.DequantizeLinear(x, *grid) if real is None else real
    return [getattr(g, move.op_type)(made, *move.inputs[1:], **move.attributes)]
