"""Replaces one value of a graph by another; shared by the rewriting passes."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

__all__ = ["nodes_of", "replace"]


def replace(node: ir.Node, value: ir.Value) -> None:
    """Removes a node of one output, whose readers and name go to a value that another node computes."""
    old = node.outputs[0]
    name = old.name
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    graph = node.graph
    if graph is not None:
        graph.remove(node, safe=True)
    value.name = name


def nodes_of(program: ir.Model, *ops: str) -> Iterable[ir.Node]:
    """The nodes of some standard operators in the main graph, as they are before a pass changes any."""
    return [node for node in program.graph if node.domain == "" and node.op_type in ops]
