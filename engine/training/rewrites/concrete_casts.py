"""Replaces CastLike with Cast to the type that it takes from its second input."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...passes.replace import nodes_of, replace

__all__ = ["concrete_casts"]


def concrete_casts(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted; a CastLike whose type is not known stays."""
    g = GraphBuilder(program.graph, prefix="cast")
    found = [(node, kind) for node in nodes_of(program, "CastLike") if (kind := _kind(node)) is not None]
    for node, kind in found:
        replace(node, g.Cast(node.inputs[0], to=kind))
    return bool(found)


def _kind(node: ir.Node) -> ir.DataType | None:
    like = node.inputs[1]
    return node.outputs[0].dtype or (like.dtype if like is not None else None)
