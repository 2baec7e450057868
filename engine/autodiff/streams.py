"""Streams: a second forward pass beside the model's, in the same graph.

The float32 shadow of a quantised model is one; a pass from other inputs, such as the reference of DeepLIFT, is another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.traversal import inputs_of
from .paths import path_nodes

__all__ = ["Stream", "add_stream", "shared_values"]


@dataclass(frozen=True, eq=False)
class Stream:
    """The values of a second forward pass by the names of the model's; a value that both share stands for itself."""

    values: Mapping[str, ir.Value] = field(default_factory=dict)

    def __call__(self, value: ir.Value) -> ir.Value:
        return self.values.get(str(value.name), value)


def add_stream(
    g: GraphBuilder,
    instead: Mapping[ir.Value, ir.Value],
    of: Sequence[ir.Value],
    shared: Callable[[ir.Value], ir.Value] = lambda value: value,
) -> Stream:
    """Computes ``of`` a second time with other values ``instead`` of some; what does not change is ``shared``."""
    nodes, read = _copied(g, instead, of)
    copy = ir.GraphView(list(read), [], nodes=nodes).clone()
    for start, value in zip(copy.inputs, read, strict=True):
        start.replace_all_uses_with(instead[value] if value in instead else shared(value))
    copies = list(copy)
    copy.remove(copies)
    for node in copies:
        node.name = g.fresh(f"{g.prefix}/{node.name or node.op_type}")
        for value in node.outputs:
            value.name = value.name and g.fresh(f"{g.prefix}/{value.name}")
    g.graph.extend(copies)
    pairs = [
        (a, b) for old, new in zip(nodes, copies, strict=True) for a, b in zip(old.outputs, new.outputs, strict=True)
    ]
    return Stream({str(a.name): b for a, b in (*pairs, *instead.items())})


def shared_values(g: GraphBuilder, instead: Mapping[ir.Value, object], of: Sequence[ir.Value]) -> list[ir.Value]:
    """The values that a stream would share with the model."""
    return [value for value in _copied(g, instead, of)[1] if value not in instead]


def _copied(
    g: GraphBuilder, instead: Mapping[ir.Value, object], of: Sequence[ir.Value]
) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes that a stream computes again, and what they read of other nodes."""
    changed = set(instead)
    for node in g.graph:
        if any(value in changed for value in inputs_of(node)):
            changed.update(node.outputs)
    nodes = [node for node in path_nodes(g.graph, of, changed) if instead.keys().isdisjoint(node.outputs)]
    made = {value for node in nodes for value in node.outputs}
    read = dict.fromkeys(
        value for node in nodes for value in inputs_of(node) if value not in made and value.graph is g.graph
    )
    return nodes, list(read)
