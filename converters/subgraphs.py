"""The tensors that nodes read, in the subgraphs that they hold, too."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

__all__ = ["every_node", "reads", "subgraphs"]


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs right inside a node."""
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def every_node(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of its subgraphs."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from every_node(inner)


def reads(node: onnx.NodeProto) -> list[str]:
    """The tensors that a node reads: its inputs, and what its subgraphs capture."""
    return [*filter(None, node.input), *(name for graph in subgraphs(node) for name in captures(graph))]


def captures(graph: onnx.GraphProto) -> list[str]:
    """The tensors around a subgraph that its nodes read or that it hands out as they are."""
    own = {value.name for value in (*graph.input, *graph.initializer)}
    own.update(name for node in graph.node for name in node.output)
    wanted = [*(name for node in graph.node for name in reads(node)), *(value.name for value in graph.output)]
    return [name for name in wanted if name not in own]
