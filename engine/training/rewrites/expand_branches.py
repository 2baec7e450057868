"""Replaces Where of branches that it broadcasts with Where of branches expanded to the result's shape."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import same_shape
from ...passes.replace import nodes_of

__all__ = ["expand_branches"]


def expand_branches(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted."""
    g = GraphBuilder(program.graph, prefix="branch")
    found = [(n, k) for n in nodes_of(program, "Where") for k in (1, 2) if not same_shape(n.inputs[k], n.outputs[0])]  # type: ignore[arg-type]
    wholes: dict[ir.Node, ir.Value] = {}
    for node, k in found:
        if node not in wholes:
            wholes[node] = g.Where(*node.inputs)  # for its shape alone
        branch = node.inputs[k]
        node.replace_input_with(k, g.Expand(branch, g.shape(wholes[node])))
    return bool(found)
