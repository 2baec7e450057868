"""Which values depend on which: the part of a graph that a gradient runs through."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from ..graph.traversal import inputs_of, numbers_read
from .registry import NO_GRADIENT, Overlay

__all__ = ["depends_on", "path_nodes", "reached_nodes", "stops"]


def depends_on(graph: ir.Graph, wrt: Iterable[ir.Value], overlay: Overlay | None = None) -> set[ir.Value]:
    """Every value that depends on one of ``wrt`` through operators that have a gradient, if only by an overlay."""
    found = set(wrt)
    for node in graph:
        if _passes(node, overlay) and any(v in found for v in numbers_read(node)):
            found.update(node.outputs)
    return found


def path_nodes(graph: ir.Graph, of: Iterable[ir.Value], among: set[ir.Value]) -> list[ir.Node]:
    """The nodes that ``of`` depends on and that read a value of ``among``, in graph order."""
    wanted = set(of)
    found = []
    for node in reversed(graph):
        if any(v in wanted for v in node.outputs):
            reads = list(inputs_of(node))
            wanted.update(reads)
            if any(v in among for v in reads):
                found.append(node)
    return found[::-1]


def reached_nodes(
    graph: ir.Graph, of: Iterable[ir.Value], among: set[ir.Value], overlay: Overlay | None = None
) -> list[ir.Node]:
    """The nodes on the paths that a gradient reaches; a node without a gradient, not by an overlay, ends its paths."""
    wanted = set(of)
    found = []
    for node in reversed(graph):
        reads = list(inputs_of(node))
        if any(v in wanted for v in node.outputs) and any(v in among for v in reads):
            found.append(node)
            wanted.update(reads if _passes(node, overlay) else ())
    return found[::-1]


def _passes(node: ir.Node, overlay: Overlay | None) -> bool:
    return (node.domain, node.op_type) not in NO_GRADIENT or (overlay is not None and overlay.overrides(node))


def stops(node: ir.Node) -> bool:
    """Whether a node's values change with its inputs, but without a gradient; a shape is none of its values."""
    return (node.domain, node.op_type) in NO_GRADIENT and node.op_type not in ("Shape", "Size")
