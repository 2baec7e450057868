"""Replaces half precision by float32: float16 and bfloat16 tensors, and the types that nodes name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

__all__ = ["HALVES", "cast_to_float32"]

HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_SMALL = 1024  # elements up to which a constant is cast now, as rules may read it; the runtime casts the others
_NAMING_A_TYPE = frozenset({"to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision"})


def cast_to_float32(program: ir.Model, requested: Collection[str | None] = ()) -> Mapping[str, ir.Value]:
    """Works in place; gives the float32 forms of the inputs and weights, by name. Inputs keep their type.

    Weights named in ``requested`` are cast by a node, so that gradients can reach them.
    """
    graph = program.graph
    halves = (value for value in (*graph.inputs, *graph.initializers.values()) if value.dtype in HALVES)
    ends = dict.fromkeys(halves)  # in their order, so that a model always gives the same graph
    for node in list(graph.all_nodes()):
        for attribute in list(node.attributes.values()):
            _cast_attribute(node, attribute)
    for value in _values(program):
        if value not in ends and value.type is not None:
            value.type = _float32_type(value.type)
    return {str(value.name): _float32(graph, value, value.name in requested) for value in ends}


def _values(program: ir.Model) -> list[ir.Value]:
    """All values of the graphs; weights of subgraphs are converted to float32 here."""
    found = []
    for graph in program.graphs():
        for value in graph.initializers.values():
            if graph is not program.graph and value.dtype in HALVES:
                _convert(value)
        found += [*graph.inputs, *graph.initializers.values(), *(y for node in graph for y in node.outputs)]
    return found


def _float32_type(kind: Any) -> Any:
    """A type with float32 in the place of a half, inside sequences and optionals, too."""
    if isinstance(kind, ir.TensorType):
        return ir.TensorType(ir.DataType.FLOAT) if kind.dtype in HALVES else kind
    return type(kind)(_float32_type(kind.elem_type))


def _cast_attribute(node: ir.Node, attribute: ir.Attr) -> None:
    if attribute.type == ir.AttributeType.INT and attribute.name in _NAMING_A_TYPE and attribute.value in HALVES:
        node.attributes.add(ir.AttrInt64(attribute.name, ir.DataType.FLOAT.value))
    elif attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype in HALVES:
        node.attributes.add(ir.AttrTensor(attribute.name, _converted(attribute.value)))


def _float32(graph: ir.Graph, value: ir.Value, requested: bool) -> ir.Value:
    """Replaces a half-precision value by its float32 form for every reader."""
    uses = list(value.uses())
    if value.const_value is not None and value.const_value.size <= _SMALL and not requested:
        wide = ir.Value(name=f"{value.name}/float32", shape=value.shape)
        wide.const_value = value.const_value
        _convert(wide)
        graph.register_initializer(wide)
    else:
        cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT}, name=f"{value.name}/cast")
        wide = cast.outputs[0]
        wide.name, wide.type, wide.shape = f"{value.name}/float32", ir.TensorType(ir.DataType.FLOAT), value.shape
        graph.insert_before(graph[0], cast) if len(graph) else graph.append(cast)
    for node, index in uses:
        node.replace_input_with(index, wide)
    return wide


def _convert(value: ir.Value) -> None:
    if value.const_value is not None:
        value.const_value = _converted(value.const_value)
    value.type = ir.TensorType(ir.DataType.FLOAT)


def _converted(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)
