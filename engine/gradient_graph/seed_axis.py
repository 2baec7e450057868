"""Several seeds in one run: the part of a graph that depends on the seeds becomes the body of a Scan over them."""

from __future__ import annotations

from collections.abc import Collection

import onnx
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.traversal import inputs_of

__all__ = ["with_axis"]


def with_axis(model: onnx.ModelProto, names: Collection[str], size: str = "seeds") -> onnx.ModelProto:
    """A model whose named inputs, and what depends on them, have one axis more at the front.

    All that does not depend on these inputs, such as the forward pass, runs once. ``size`` names the axis.
    """
    program = ir.from_proto(model)
    graph = program.graph
    g, length = GraphBuilder(graph, prefix=size), _free_dimension(graph, size)
    seeds = [value for value in graph.inputs if value.name in names]
    moved, dependents = _dependents(graph, seeds)
    body = ir.Graph([], [], nodes=[], name=f"{size}_body")
    _give_slices(g.nested(body), seeds, length)
    graph.remove(moved)
    body.extend(moved)
    outer = {value: _longer(g, value, length) for value in graph.outputs if value in dependents}
    outputs = [outer.get(value, value) for value in graph.outputs]
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    body.outputs.extend(outer)
    given = [ir.AttrGraph("body", body), ir.AttrInt64("num_scan_inputs", len(seeds))]
    graph.append(ir.Node("", "Scan", seeds, given, outputs=list(outer.values()), name=g.fresh(f"{size}/Scan")))
    return ir.to_proto(program)


def _dependents(graph: ir.Graph, seeds: Collection[ir.Value]) -> tuple[list[ir.Node], set[ir.Value]]:
    """The nodes that depend on seeds, in graph order, and their outputs."""
    nodes, found = list[ir.Node](), set(seeds)
    for node in graph:
        if any(value in found for value in inputs_of(node)):
            nodes.append(node)
            found.update(node.outputs)
    return nodes, found


def _free_dimension(graph: ir.Graph, size: str) -> str:
    """A name for the length of the axis that no input or output has for another length."""
    taken = {str(dim) for value in (*graph.inputs, *graph.outputs) for dim in value.shape or ()}
    while size in taken:
        size += "_"
    return size


def _give_slices(inside: GraphBuilder, seeds: Collection[ir.Value], length: str) -> None:
    """Makes nodes read slices of the seeds, which are inputs of the body; the seeds get the axis."""
    for seed in seeds:
        one = inside.input(f"{seed.name}_slice", seed.dtype or ir.DataType.FLOAT, seed.shape)
        seed.replace_all_uses_with(one)
        seed.shape = _with_length(seed, length)


def _longer(g: GraphBuilder, value: ir.Value, length: str) -> ir.Value:
    """The output that a value of the body becomes; it takes over the name."""
    name = str(value.name)
    value.name = g.fresh(f"{name}_slice")
    return ir.Value(name=name, shape=_with_length(value, length), type=value.type)


def _with_length(value: ir.Value, length: str) -> ir.Shape | None:
    return None if value.shape is None else ir.Shape([length, *value.shape])
