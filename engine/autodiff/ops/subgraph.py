"""Subgraphs of control flow: what they capture, copies of them, and states kept for the backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from ...errors import UnsupportedOperator
from ...graph.builder import GraphBuilder

__all__ = ["give_back", "input_like", "is_real", "merged", "new_graph", "stacked_states", "type_inputs"]


def new_graph(name: str | None) -> ir.Graph:
    return ir.Graph([], [], nodes=[], name=f"{name}_back")


def is_real(value: ir.Value | None) -> bool:
    """Whether it is a tensor with a gradient; what a sequence holds is resolved before, or refused."""
    if value is None or value.dtype is None or isinstance(value.type, ir.SequenceType):
        return False
    return value.dtype.is_floating_point()


def type_inputs(body: ir.Graph, outside: Sequence[ir.Value | None], states: int, axes: Sequence[int]) -> None:
    """The inputs of a Scan's body, from the inputs of the Scan: states as they are, slices of the rest."""
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
