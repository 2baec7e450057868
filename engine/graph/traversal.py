"""Walks through a graph: what values depend on, what nodes read, which subgraphs they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import onnx_ir as ir

__all__ = ["DependsOn", "ancestors", "depends_on_inputs", "inputs_of", "numbers_read", "subgraphs"]


class DependsOn:
    """Whether values depend on some that a test picks, themselves included.

    It keeps what it finds, so that it visits every value of a graph once; the graph may grow meanwhile, but what a node
    reads may not change. ``reads`` are the inputs of a node that count.
    """

    def __init__(
        self, picks: Callable[[ir.Value], bool], reads: Callable[[ir.Node], Iterable[ir.Value]] | None = None
    ) -> None:
        self._picks = picks
        self._reads = reads or inputs_of
        self._found: dict[ir.Value, bool] = {}

    def __call__(self, value: ir.Value | None) -> bool:
        waiting = [] if value is None else [value]
        while waiting:
            reads = self._unknown(waiting[-1])
            if reads:
                waiting.extend(reads)
            else:
                waiting.pop()
        return value is not None and self._found[value]

    def _unknown(self, value: ir.Value) -> list[ir.Value]:
        """What must be known first to tell whether a value depends; nothing where it is told now."""
        if value in self._found:
            return []
        maker = value.producer()
        reads = [] if maker is None else list(self._reads(maker))
        told = self._picks(value) or any(self._found.get(one) for one in reads)
        unknown = [] if told else [one for one in reads if one not in self._found]
        if not unknown:
            self._found[value] = told
        return unknown


def depends_on_inputs(value: ir.Value) -> bool:
    """Whether a value depends on inputs of its graph, or of one around it or inside."""
    return DependsOn(ir.Value.is_graph_input)(value)


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


def numbers_read(node: ir.Node) -> Iterator[ir.Value]:
    """The values that a node reads for their numbers: of some it reads the shape or the type alone."""
    sizes = node.op_type in ("Shape", "Size", "CastLike") and node.domain == ""
    read = node.inputs[: int(node.op_type == "CastLike")] if sizes else inputs_of(node)
    yield from (value for value in read if value is not None)


def subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The graphs that a node holds as attributes."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()
