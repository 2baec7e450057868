"""Masks of large images in a reverse pass, as saved files have them: OpenVINO makes them early, and keeps a byte each.

OpenVINO 2026.4 makes one kernel of a gate's comparisons and its product. It then keeps every activation in float32 for
the reverse pass, and much of the time goes into memory. Two things make it compare early:

* the gate reads its mask And whether an element of the mask, a Slice, is equal to itself: one kernel of the comparisons
  and the gate would have to wait for its own end;
* the first output is chosen by an element of the masks: OpenVINO computes what that needs first, layer by layer.

Neither changes a result. Nodes stand right behind what they read: onnxruntime goes from the outputs to the inputs and
follows what stands last first, and then makes a mask where the reverse pass reads it, the faster order there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from ..graph.traversal import ancestors

__all__ = ["mask_early"]

_LARGE = 80_000  # elements of an example; fewer are still in the cache when the reverse pass comes
_COMPARES = frozenset({"And", "Clip", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not"})


def mask_early(program: ir.Model, large: int = _LARGE) -> None:
    """Works in place, on products with masks of images that have at least so many elements of an example."""
    graph = program.graph
    scores = graph.outputs[0]
    if scores.dtype != ir.DataType.FLOAT or scores.producer() is None:
        return
    forward = set(ancestors([scores]))
    gates = {node: y for node in graph if (y := _gated_by(node, forward, large)) is not None}
    if not gates:
        return
    order = {value: k for k, node in enumerate(graph) for value in node.outputs}
    g, parts = GraphBuilder(graph, prefix="early"), dict[ir.Value, ir.Value]()
    for node, y in sorted(gates.items(), key=lambda gate: order[gate[1]]):
        mask = node.inputs[0]
        part = g.Slice(mask, [0] * 4, [1] * 4)
        parts[part] = y
        node.replace_input_with(0, g.And(mask, g.Equal(part, part)))
    _read_first(g, list(parts), scores)
    _move(graph, gates | {node: y for part, y in parts.items() if (node := part.producer()) is not None})


def _gated_by(node: ir.Node, forward: Set[ir.Value], large: int) -> ir.Value | None:
    """The activation that a mask compares with constants, if the node casts one for products of the reverse pass."""
    mask = node.inputs[0] if node.op_type == "Cast" and node.domain == "" else None
    if mask is None or mask.dtype != ir.DataType.BOOL or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    elsewhere = node.outputs[0] in forward or any(user.op_type != "Mul" for user, _ in node.outputs[0].uses())
    read = set[ir.Value]() if elsewhere or not _is_large(mask, large) else set(_compared(mask, forward))
    y = read.pop() if len(read) == 1 else None
    return y if y is not None and y in forward and y.producer() is not None else None


def _is_large(mask: ir.Value, large: int) -> bool:
    sizes = list(mask.shape or ())[1:]
    return len(sizes) == 3 and math.prod(n if isinstance(n, int) else 0 for n in sizes) >= large


def _compared(value: ir.Value, forward: Set[ir.Value]) -> Iterator[ir.Value]:
    """What comparisons read that is not constant."""
    node = value.producer()
    if value in forward or node is None or node.op_type not in _COMPARES:
        yield value
        return
    for x in node.inputs:
        if x is not None and constant_of(x) is None:
            yield from _compared(x, forward)


def _read_first(g: GraphBuilder, parts: list[ir.Value], scores: ir.Value) -> None:
    """The first output is chosen from the same scores twice, by an element of all masks."""
    name, before = scores.name, len(g.graph)
    scores.name = g.fresh(f"early/{name}")
    one = g.Slice(g.Concat(*parts, axis=0), [0], [1], [0])
    chosen = g.shaped_like(g.Where(g.Reshape(one, [1]), scores, scores), scores)
    chosen.name = name
    g.graph.outputs[0] = chosen
    _stand_behind(g.graph, scores, list(g.graph)[before:])


def _move(graph: ir.Graph, ends: Mapping[ir.Node, ir.Value]) -> None:
    """What computes some nodes from a value stands behind it."""
    for y in dict.fromkeys(ends.values()):
        nodes = dict[ir.Node, None]()
        for node in (node for node, by in ends.items() if by is y):
            _made_of(node, y, nodes)
        _stand_behind(graph, y, list(nodes))


def _made_of(node: ir.Node, y: ir.Value, nodes: dict[ir.Node, None]) -> None:
    """Every node between y and one, that one included, in an order of computation."""
    for x in node.inputs:
        maker = None if x is None or x is y else x.producer()
        if maker is not None and maker not in nodes:
            _made_of(maker, y, nodes)
    nodes[node] = None


def _stand_behind(graph: ir.Graph, value: ir.Value, nodes: list[ir.Node]) -> None:
    graph.remove(nodes)
    graph.insert_after(value.producer(), nodes)  # pyright: ignore[reportArgumentType]
