"""Replaces Sum and Mean of several tensors with chains of Add."""

from __future__ import annotations

from functools import reduce

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...passes.replace import nodes_of, replace

__all__ = ["chain_sums"]


def chain_sums(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted."""
    g = GraphBuilder(program.graph, prefix="chain")
    found = nodes_of(program, "Sum", "Mean")
    for node in found:
        first, *others = node.inputs
        total = reduce(g.Add, others, first) if others else g.Identity(first)
        replace(node, g.Div(total, len(node.inputs)) if node.op_type == "Mean" else total)
    return bool(found)
