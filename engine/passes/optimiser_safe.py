"""Replaces forms of standard operators that onnxruntime's optimisers get wrong by others that mean the same.

A model runs right without Transposes round such a node, or with optimisation off. The gradient graph puts Transposes
there, and models have some of their own.

* Pad and Resize along some axes: the transpose optimiser permutes pads, scales and sizes as if they were for all axes:
  "indices element out of data bounds", or, where the axes are all there in another order, wrong values.
* MatMul with a vector on the right: Transpose(x) and MatMul become a FusedMatMul, which is wrong for a vector.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .replace import replace

__all__ = ["matrix_products", "optimiser_safe", "whole_pads", "whole_resizes"]


def optimiser_safe(program: ir.Model) -> bool:
    """Works in place, in subgraphs too; true where there was such a node."""
    found = [rewrite(program) for rewrite in (whole_pads, whole_resizes, matrix_products)]
    if any(found):
        program.graph.sort()
    return any(found)


def whole_pads(program: ir.Model) -> bool:
    """Pad along all axes; computed pads are scattered to their axes."""
    found = [node for node in _nodes(program, "Pad") if len(node.inputs) > 3 and node.inputs[3] is not None]
    for g, node in _with_builders(program, found):
        x, pads, axes = node.inputs[0], node.inputs[1], node.inputs[3]
        if x is not None:
            node.replace_input_with(1, g.whole_pads(x, pads, axes))
            node.resize_inputs(3)
    return bool(found)


def whole_resizes(program: ir.Model) -> bool:
    """Resize along all axes, but for one whose sizes share a scale: there the others would take part in it."""
    found = [node for node in _nodes(program, "Resize") if _names_some(node)]
    for g, node in _with_builders(program, found):
        _resize_all(g, node, g.shape(node.inputs[0]))  # type: ignore[arg-type]
        node.attributes.pop("axes")
    return bool(found)


def _resize_all(g: GraphBuilder, node: ir.Node, lengths: ir.Value) -> None:
    """Scatters roi, scales and sizes to their axes; the others are kept whole."""
    rank = g.rank(node.inputs[0])  # type: ignore[arg-type]
    axes = [axis % rank for axis in node.attributes.get_ints("axes", ())]
    for k, rest in ((1, [0.0] * rank + [1.0] * rank), (2, [1.0] * rank), (3, None)):
        given = node.inputs[k] if k < len(node.inputs) else None
        if given is not None and not ((known := constant_of(given)) is not None and not known.size):
            whole = lengths if rest is None else g.constant(rest, given.dtype)
            indices = [*axes, *(axis + rank for axis in axes)] if k == 1 else axes
            node.replace_input_with(k, _scattered(g, whole, indices, given))


def _scattered(g: GraphBuilder, whole: ir.Value, indices: list[int], given: ir.Value) -> ir.Value:
    """A constant where both are, as the rule of Resize reads it."""
    around, known = constant_of(whole), constant_of(given)
    if around is None or known is None:
        return g.ScatterElements(whole, indices, given)
    made = around.copy()
    made[indices] = known
    return g.constant(made)


def _names_some(node: ir.Node) -> bool:
    x, axes = node.inputs[0], node.attributes.get_ints("axes", ())
    if not axes or x is None or x.shape is None:
        return False
    stretched = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    return stretched or len(axes) == len(x.shape)


def matrix_products(program: ir.Model) -> bool:
    """MatMul with a matrix of one row or column for a vector; the last node has the name of the first."""
    found = [node for node in _nodes(program, "MatMul") if any(map(_is_vector, node.inputs))]
    for g, node in _with_builders(program, found):
        name = node.name
        replace(node, y := g.MatMul(*node.inputs))
        if (made := y.producer()) is not None:
            made.name = name
    return bool(found)


def _is_vector(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == 1


def _nodes(program: ir.Model, op: str) -> list[ir.Node]:
    return [node for node in program.graph.all_nodes() if node.domain == "" and node.op_type == op]


def _with_builders(program: ir.Model, nodes: list[ir.Node]) -> Iterator[tuple[GraphBuilder, ir.Node]]:
    """Each node with a builder that appends to the graph which it is in."""
    around = GraphBuilder(program.graph, prefix="safe") if nodes else None
    for node in nodes:
        if around is not None and node.graph is not None:
            yield (around if node.graph is program.graph else around.nested(node.graph)), node
