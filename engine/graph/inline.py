"""Subgraphs in the place of nodes: what they capture, and copies of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import onnx
import onnx_ir as ir

from .builder import GraphBuilder
from .infer_node import infer
from .traversal import subgraphs

__all__ = ["captured", "inlined"]


def captured(node: ir.Node) -> list[ir.Value]:
    """The values from around that a node's subgraphs read, each once."""
    every = [graph for top in subgraphs(node) for graph in (top, *top.subgraphs())]
    own = {v for graph in every for v in _made_in(graph)}
    reads = (v for graph in every for v in (*graph.outputs, *(x for n in graph for x in n.inputs)))
    return list(dict.fromkeys(v for v in reads if v is not None and v not in own))


def _made_in(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs)]


def inlined(b: GraphBuilder, body: ir.Graph, inputs: Sequence[ir.Value]) -> list[ir.Value]:
    """Appends a copy of a subgraph's nodes that reads the given values; returns its outputs."""
    copy = body.clone(allow_outer_scope_values=True)
    for graph in (copy, *copy.subgraphs()):
        for item in (*_made_in(graph), *graph):
            item.name = b.fresh(item.name) if item.name else item.name
    given = dict(zip(copy.inputs, inputs, strict=True))
    outputs = [given.get(y, y) for y in copy.outputs]
    copy.outputs.clear()
    for old, new in given.items():
        old.replace_all_uses_with(new)
    for value in list(copy.initializers.values()):
        copy.initializers.pop(str(value.name))
        b.graph.register_initializer(value)
    nodes = list(copy)
    copy.remove(nodes)
    b.graph.extend(nodes)
    for node in nodes:
        _infer_what_is_open(b, node)
    return outputs


def _infer_what_is_open(b: GraphBuilder, node: ir.Node) -> None:
    """Bodies that the standard writes do not say what shapes their values have."""
    if node.domain == "" and any(y.shape is None for y in node.outputs) and next(subgraphs(node), None) is None:
        with contextlib.suppress(onnx.shape_inference.InferenceError):
            infer(onnx.defs.get_schema(node.op_type, b.opset, ""), node, b.opset)
