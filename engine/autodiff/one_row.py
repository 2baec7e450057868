"""A second forward pass that is the same for every row: computed for one row, by a runtime once, as it loads the graph.

The values of all rows differ from that row's by broadcasting. This holds where no operator of the model mixes rows; so
every value on the way must have the rows along its first axis, and the operators are those listed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from ..graph.traversal import DependsOn, inputs_of
from .paths import depends_on, path_nodes
from .streams import Stream, add_stream

__all__ = ["add_stream_of_one_row"]

_ROW_BY_ROW = frozenset({
    "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Div", "Elu", "Flatten", "Gelu", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MaxPool", "Mul", "Neg",
    "ReduceMean", "Relu", "Reshape", "Sigmoid", "Softplus", "Squeeze", "Sub", "Tanh",
})  # fmt: skip


def add_stream_of_one_row(
    g: GraphBuilder, constants: Mapping[ir.Value, ir.Value], of: ir.Value, settled: ir.Value
) -> Stream | None:
    """The stream from ``constants``, which broadcast over values, to the score ``of``; None where it cannot be.

    From the model's results on, what onnxray added to select the score has all rows again, as each has its target.
    """
    path = path_nodes(g.graph, [of], depends_on(g.graph, constants))
    nodes, added = ([node for node in path if (node in g.emitted) is late] for late in (False, True))
    made = {value for node in nodes for value in node.outputs}
    heads = [value for value in dict.fromkeys(x for node in added for x in inputs_of(node)) if value in made]
    if (
        not heads
        or not _may_be_one(nodes, {*constants, *made})
        or any(constants.keys() & node.inputs for node in added)
    ):
        return None
    if any(constant_of(one) is None for one in constants.values()):
        return None
    starts = {x: g.Expand(one, g.constant(_one_row(x), ir.DataType.INT64)) for x, one in constants.items()}
    inner = add_stream(g, starts, heads)
    for value in [value for value in made if inner(value) is not value]:
        inner(value).shape = ir.Shape(_one_row(value))
    outer = add_stream(g, {value: g.expand_like(inner(value), value) for value in heads} | {settled: settled}, [of])
    return Stream({**outer.values, **inner.values})


def _one_row(value: ir.Value) -> list[int]:
    return [1, *(size for size in (value.shape or ())[1:] if isinstance(size, int))]


def _may_be_one(nodes: Sequence[ir.Node], values: set[ir.Value]) -> bool:
    """Whether every value has its rows along the first axis and known sizes, and every operator keeps rows apart."""
    rows, varies = {value.shape[0] if value.shape else None for value in values}, DependsOn(ir.Value.is_graph_input)
    return (
        len(rows) == 1
        and all(isinstance(size, ir.SymbolicDim) and size.value is not None for size in rows)
        and all(isinstance(size, int) for value in values for size in (value.shape or ())[1:])
        and all(node.domain == "" and node.op_type in _ROW_BY_ROW for node in nodes)
        and not any(node.attributes.get_int("training_mode", 0) for node in nodes)
        and all(x in values or not varies(x) for node in nodes for x in inputs_of(node))
    )
