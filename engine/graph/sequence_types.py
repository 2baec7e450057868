"""The types of sequences and optional values, which onnx-ir's shape inference takes for those of their tensors."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from .traversal import subgraphs

__all__ = ["type_sequences"]

_Type = ir.TypeProtocol | None
_LIKE_FIRST = ("Identity", "SequenceErase", "SequenceInsert")


def type_sequences(graph: ir.Graph) -> None:
    """Notes down, in place, which values are sequences or optional, subgraphs included."""
    for node in graph:
        for inner in subgraphs(node):
            type_sequences(inner)
        for value, kind in zip(node.outputs, _types(node), strict=False):
            if isinstance(kind, ir.SequenceType | ir.OptionalType):
                value.type = kind


def _types(node: ir.Node) -> Iterator[_Type]:
    """The types of a node's outputs, as far as they may be other than tensors."""
    first = node.inputs[0] if node.inputs else None
    if node.op_type in _LIKE_FIRST:
        yield _type(first)
    elif node.op_type in ("SequenceConstruct", "SplitToSequence"):
        yield _sequence(first)
    elif node.op_type == "SequenceEmpty":
        yield ir.SequenceType(ir.TensorType(ir.DataType(node.attributes.get_int("dtype", onnx.TensorProto.FLOAT))))
    elif node.op_type == "Optional":
        yield _optional(node, first)
    elif node.op_type == "OptionalGetElement":
        wrapped = _type(first)
        yield wrapped.elem_type if isinstance(wrapped, ir.OptionalType) else wrapped  # type: ignore[misc]
    elif node.op_type == "SequenceMap":
        yield from map(_sequence, node.attributes["body"].as_graph().outputs)
    elif node.op_type == "If":
        yield from map(_type, node.attributes["then_branch"].as_graph().outputs)
    elif node.op_type == "Loop":
        yield from map(_type, node.attributes["body"].as_graph().outputs[1 : len(node.inputs) - 1])


def _type(value: ir.Value | None) -> _Type:
    return value.type if value is not None else None


def _sequence(value: ir.Value | None) -> _Type:
    return ir.SequenceType(value.type) if value is not None and value.type is not None else None


def _optional(node: ir.Node, value: ir.Value | None) -> _Type:
    held = node.attributes["type"].value.type if "type" in node.attributes else _type(value)
    return ir.OptionalType(held) if held is not None else None
