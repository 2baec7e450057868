"""Replaces Dropout outside of training with Identity."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ...passes.replace import nodes_of, replace

__all__ = ["drop_dropout"]


def drop_dropout(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted; a Dropout that trains, or whose mask is read, stays."""
    g = GraphBuilder(program.graph, prefix="kept")
    found = [node for node in nodes_of(program, "Dropout") if _is_idle(node)]
    for node in found:
        replace(node, g.Identity(node.inputs[0]))
    return bool(found)


def _is_idle(node: ir.Node) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    known = constant_of(training)
    masks = [mask for mask in node.outputs[1:] if mask.uses() or mask.is_graph_output()]
    return (training is None or (known is not None and not known)) and not masks
