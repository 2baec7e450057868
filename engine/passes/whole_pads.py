"""Replaces Pad along some axes with Pad along all axes."""

from __future__ import annotations

import onnx_ir as ir

from ..graph import GraphBuilder
from ..shapes import constant_of
from .replace import nodes_of

__all__ = ["whole_pads"]


def whole_pads(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted; computed pads are scattered to their axes."""
    g = GraphBuilder(program.graph, prefix="whole")
    found = [node for node in nodes_of(program, "Pad") if _names_axes(node)]
    for node in found:
        x, pads, axes = node.inputs[0], node.inputs[1], node.inputs[3]
        rank = g.rank(x) if x is not None else 0
        positive = g.Mod(g.Cast(axes, to=ir.DataType.INT64), rank)
        places = g.Concat(positive, g.Add(positive, rank), axis=0)
        node.replace_input_with(1, g.ScatterElements(g.constant([0] * (2 * rank), ir.DataType.INT64), places, pads))
        node.resize_inputs(3)
    return bool(found)


def _names_axes(node: ir.Node) -> bool:
    axes = node.inputs[3] if len(node.inputs) > 3 else None
    known = constant_of(axes)
    return axes is not None and node.inputs[0] is not None and not (known is not None and known.size == 0)
