"""Subgraphs of control flow: what they capture, copies of them, and states kept for the way back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import onnx
import onnx_ir as ir

from ...errors import UnsupportedOperator
from ...graph.builder import GraphBuilder
from ...graph.shapes import infer

__all__ = [
    "captured",
    "give_back",
    "inlined",
    "input_like",
    "is_real",
    "merged",
    "new_graph",
    "stacked_states",
    "type_inputs",
]


def new_graph(name: str | None) -> ir.Graph:
    return ir.Graph([], [], nodes=[], name=f"{name}_back")


def is_real(value: ir.Value | None) -> bool:
    """Whether it is a tensor with a gradient; what a sequence holds is resolved before, or refused."""
    if value is None or value.dtype is None or isinstance(value.type, ir.SequenceType):
        return False
    return value.dtype.is_floating_point()


def captured(node: ir.Node) -> list[ir.Value]:
    """The values from around that a node's subgraphs read, each once."""
    graphs = [a.as_graph() for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH]
    every = [graph for top in graphs for graph in (top, *_below(top))]
    own = {v for graph in every for v in _made_in(graph)}
    reads = (v for graph in every for v in (*graph.outputs, *(x for n in graph for x in n.inputs)))
    return list(dict.fromkeys(v for v in reads if v is not None and v not in own))


def _below(graph: ir.Graph) -> Iterator[ir.Graph]:
    for node in graph:
        yield from _below_node(node)


def _below_node(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
            yield from _below(attribute.as_graph())


def _made_in(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs)]


def inlined(b: GraphBuilder, body: ir.Graph, inputs: Sequence[ir.Value]) -> list[ir.Value]:
    """Appends a copy of a subgraph's nodes that reads the given values; returns its outputs."""
    copy = body.clone(allow_outer_scope_values=True)
    for graph in (copy, *_below(copy)):
        for item in (*_made_in(graph), *graph):
            item.name = b.fresh(item.name) if item.name else item.name
    given = dict(zip(copy.inputs, inputs, strict=True))
    outputs = [given.get(y, y) for y in copy.outputs]
    copy.outputs.clear()
    for old, new in given.items():
        old.replace_all_uses_with(new)
    for value in list(copy.initializers.values()):
        copy.initializers.pop(str(value.name))
        b.graph.register_initializer(value)
    nodes = list(copy)
    copy.remove(nodes)
    b.graph.extend(nodes)
    for node in nodes:
        _infer_what_is_open(b, node)
    return outputs


def _infer_what_is_open(b: GraphBuilder, node: ir.Node) -> None:
    """Bodies that the standard writes do not say what shapes their values have."""
    if node.domain == "" and any(y.shape is None for y in node.outputs) and not list(_below_node(node)):
        with contextlib.suppress(onnx.shape_inference.InferenceError):
            infer(onnx.defs.get_schema(node.op_type, b.opset, ""), node, b.opset)


def type_inputs(body: ir.Graph, outside: Sequence[ir.Value | None], states: int, axes: Sequence[int]) -> None:
    """What the inputs of a Scan's body are, from what the Scan takes: states as they are, slices of the rest."""
    for k, (x, source) in enumerate(zip(body.inputs, outside, strict=True)):
        if x.shape is None and source is not None and source.shape is not None:
            dims = list(source.shape)
            if k >= states:
                dims.pop(axes[k - states])
            x.shape, x.type = ir.Shape(dims), x.type or source.type


def input_like(b: GraphBuilder, x: ir.Value) -> ir.Value:
    """A new input of the type and shape of a value."""
    value = b.input(f"{b.prefix}/{x.name}", x.dtype or ir.DataType.FLOAT, x.shape)
    value.type = x.type
    return value


def give_back(b: GraphBuilder, value: ir.Value) -> None:
    """Makes a value an output of the subgraph.

    Without an Identity where it can be: onnxruntime 1.31 takes one away so that a fused Gemm misses its input.
    """
    producer = value.producer()
    if producer is not None and producer.graph is b.graph and not value.is_graph_output():
        b.graph.outputs.append(value)
    else:
        b.output(value, f"{b.prefix}/given_back")


def merged(b: GraphBuilder, pairs: Iterable[tuple[ir.Value, ir.Value]]) -> dict[ir.Value, ir.Value]:
    """Sums of what arrives at the same value."""
    sums: dict[ir.Value, ir.Value] = {}
    for y, dy in pairs:
        sums[y] = b.Add(sums[y], dy) if y in sums else dy
    return sums


def stacked_states(g: GraphBuilder, node: ir.Node, states: Sequence[ir.Value]) -> list[ir.Value]:
    """Makes a Loop or Scan also return its states at the beginning of every step, one above the other."""
    if any(isinstance(state.type, ir.SequenceType) for state in states):
        raise UnsupportedOperator(
            f"operator {node.op_type} (node {node.name!r}) cannot be differentiated: it hands a sequence from step to "
            "step; export the model with a tensor that is stacked, or with the loop unrolled"
        )
    body, before = node.attributes["body"].as_graph(), len(node.outputs)
    inside = g.nested(body)
    for state in states:
        inside.output(state, f"{g.prefix}/{state.name}_kept")
    node.resize_outputs(before + len(states))
    for name in ("scan_output_axes", "scan_output_directions"):
        if name in node.attributes:
            node.attributes.add(ir.AttrInt64s(name, [*node.attributes.get_ints(name, ()), *[0] * len(states)]))
    stacks = list(node.outputs[before:])
    for stack, state in zip(stacks, states, strict=True):
        stack.name, stack.type = g.fresh(f"{g.prefix}/{state.name}_stack"), state.type
        stack.shape = None if state.shape is None else ir.Shape([None, *state.shape])
    return stacks
