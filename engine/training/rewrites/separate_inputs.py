"""Replaces Mul(a, a) with Mul(a, Identity(a)): every later use of a value by one node gets an Identity."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder

__all__ = ["separate_inputs"]


def separate_inputs(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted; true where a node read a value twice."""
    g = GraphBuilder(program.graph, prefix="separate")
    found = [(node, k) for node in program.graph for k, x in enumerate(node.inputs) if _is_repeated(node, k, x)]
    for node, k in found:
        node.replace_input_with(k, g.Identity(node.inputs[k]))
    return bool(found)


def _is_repeated(node: ir.Node, k: int, x: ir.Value | None) -> bool:
    return x is not None and any(x is earlier for earlier in node.inputs[:k])
