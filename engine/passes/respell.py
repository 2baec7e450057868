"""Replaces nodes by others that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph import GraphBuilder

__all__ = ["replace"]


def replace(
    program: ir.Model, nodes: Iterable[ir.Node], spell: Callable[[GraphBuilder, ir.Node], Sequence[ir.Value | None]]
) -> bool:
    """Puts what ``spell`` emits in the place of each node, in place; true where there was one."""
    nodes = list(nodes)
    around = GraphBuilder(program.graph) if nodes else None
    for node in nodes:
        if around is not None:
            _replace(around, node, spell)
    return bool(nodes)


def _replace(
    around: GraphBuilder, node: ir.Node, spell: Callable[[GraphBuilder, ir.Node], Sequence[ir.Value | None]]
) -> None:
    graph: Any = node.graph
    scratch = ir.Graph([], [], nodes=[])
    around.prefix = node.name or node.op_type
    try:
        outputs = spell(around.nested(scratch), node)
    except ValueError as error:
        where = f"operator {node.domain}{'::' if node.domain else ''}{node.op_type} (node {node.name!r})"
        raise UnsupportedOperator(f"{where} cannot be differentiated: {error}") from error
    for value in list(scratch.initializers.values()):
        graph.register_initializer(scratch.initializers.pop(str(value.name)))
    nodes = list(scratch)
    scratch.remove(nodes)
    pairs = [(old, new) for old, new in zip(node.outputs, outputs, strict=False) if old.name and new is not None]
    old, new = (list(side) for side in zip(*pairs, strict=True))
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, old, new)
