"""Walks through a graph: what values depend on, what nodes read, which subgraphs they hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import onnx_ir as ir

__all__ = ["ancestors", "inputs_of", "subgraphs"]


def ancestors(of: Iterable[ir.Value], ends: Collection[ir.Value] = ()) -> Iterator[ir.Value]:
    """Every value that some depend on, themselves included, each once; nothing that lies behind ``ends`` alone."""
    found, waiting = set[ir.Value](), list(of)
    while waiting:
        value = waiting.pop()
        if value in found:
            continue
        found.add(value)
        yield value
        maker = value.producer()
        if maker is not None and value not in ends:
            waiting.extend(inputs_of(maker))


def inputs_of(node: ir.Node) -> Iterator[ir.Value]:
    """The values that a node reads, those that its subgraphs capture included."""
    yield from (v for v in node.inputs if v is not None)
    for graph in subgraphs(node):
        yield from graph.outputs
        for inner in graph:
            yield from inputs_of(inner)


def subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The graphs that a node holds as attributes."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()
