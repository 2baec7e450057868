"""Replaces nodes by others that compute the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.infer_node import infer

__all__ = ["rewrite_nodes"]

Rewrite = Callable[[GraphBuilder, ir.Node], Sequence[ir.Value | None]]


def rewrite_nodes(program: ir.Model, nodes: Iterable[ir.Node], rewrite: Rewrite) -> bool:
    """Replaces each node by the nodes that ``rewrite`` emits, in place; returns whether there was a node.

    The node is kept when an output in use has no replacement.
    """
    nodes = list(nodes)
    around = GraphBuilder(program.graph) if nodes else None
    for node in nodes:
        if around is not None:
            _replace(around, node, rewrite)
    return bool(nodes)


def _replace(around: GraphBuilder, node: ir.Node, rewrite: Rewrite) -> None:
    graph: Any = node.graph
    scratch = ir.Graph([], [], nodes=[])
    around.prefix = str(node.name or node.outputs[0].name or node.op_type)
    _learn_shapes(node, around.opset)
    try:
        outputs = rewrite(around.nested(scratch), node)
    except (ValueError, onnx.shape_inference.InferenceError) as error:
        where = f"operator {node.domain}{'::' if node.domain else ''}{node.op_type} (node {node.name!r})"
        raise UnsupportedOperator(f"{where} cannot be differentiated: {error}") from error
    for value in list(scratch.initializers.values()):
        graph.register_initializer(scratch.initializers.pop(str(value.name)))
    nodes = list(scratch)
    scratch.remove(nodes)
    pairs = [(old, new) for old, new in zip(node.outputs, outputs, strict=False) if old.name and new is not None]
    old, new = (list(side) for side in zip(*pairs, strict=True))
    rest = [y for y in node.outputs if y not in old and (y.uses() or y.is_graph_output())]
    ir.convenience.replace_nodes_and_values(graph, node, [] if rest else [node], nodes, old, new)
    for value in old if rest else ():
        value.name = around.fresh(f"{value.name}/fused")


def _learn_shapes(node: ir.Node, opset: int) -> None:
    """Infers input types and shapes that earlier rewrites made known; literals beside an input take its type."""
    for maker in _makers_of_unknown(node):
        if maker.domain == "" and onnx.defs.has(maker.op_type, opset):
            with contextlib.suppress(onnx.shape_inference.InferenceError, ValueError):  # then it stays unknown
                infer(onnx.defs.get_schema(maker.op_type, opset, ""), maker, opset)


def _makers_of_unknown(node: ir.Node) -> list[ir.Node]:
    """The nodes behind inputs of unknown type or shape, each after those that it reads."""
    found: dict[ir.Node, None] = {}
    waiting = [(node, False)]
    while waiting:
        maker, visited = waiting.pop()
        if visited:
            found[maker] = None
        elif maker not in found:
            makers = [x.producer() for x in maker.inputs if x is not None and (x.shape is None or x.dtype is None)]
            waiting += [(maker, True), *((before, False) for before in makers if before is not None)]
    return list(found)[:-1]
