"""The types and shapes of what one node gives, by the rules of the ONNX standard; of equal nodes, asked once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.shape_inference import infer_node_outputs

from .schemas import schema_of
from .shapes import complete, dims_of

__all__ = ["infer"]

_MAX_READ = 1024  # elements of a constant that shape inference may want to read
_KINDS = ir.AttributeType
_PLAIN = frozenset({_KINDS.INT, _KINDS.FLOAT, _KINDS.STRING, _KINDS.INTS, _KINDS.FLOATS, _KINDS.STRINGS})

_NUMBERS = frozenset({"BOOL", "DOUBLE", "FLOAT", "FLOAT16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16"})

Form = tuple[Any, ...]  # what inference reads of a node: operator, attributes, inputs; two with equal forms are alike
Found = tuple[onnx.TypeProto | None, ...]


def infer(schema: onnx.defs.OpSchema, node: ir.Node, opset: int) -> None:
    """Types and shapes the outputs of one node by the rules of the ONNX standard."""
    form = _form(schema, node, opset)
    for output, found in zip(node.outputs, _inferred(schema, node, opset) if form is None else _of(form), strict=True):
        if found is not None and found.HasField("tensor_type"):
            dims = dims_of(found.tensor_type)
            output.type = ir.TensorType(ir.DataType(found.tensor_type.elem_type))
            output.shape = None if dims is None else ir.Shape(dims)
        elif found is not None:
            output.type = ir.serde.deserialize_type_proto_for_type(found)
            output.shape = ir.serde.deserialize_type_proto_for_shape(found)
    complete(node)


def _inferred(schema: onnx.defs.OpSchema, node: ir.Node, opset: int) -> Found:
    present = [value for value in node.inputs if value is not None]
    proto, standard = ir.serde.serialize_node(node), [onnx.OperatorSetIdProto(version=opset)]
    found = infer_node_outputs(schema, proto, _types(present), _contents(present), opset_imports=standard)
    return tuple(found.get(str(output.name)) for output in node.outputs)


def _form(schema: onnx.defs.OpSchema, node: ir.Node, opset: int) -> Form | None:
    """None of a node with an attribute or an input of another kind than numbers, texts and tensors of numbers."""
    attributes = list(node.attributes.values())
    if schema.domain or not all(a.type in _PLAIN and not a.is_ref() for a in attributes):
        return None
    inputs = tuple(None if x is None else _input(x) for x in node.inputs)
    if any(about is not None and about[0] is None for about in inputs):
        return None
    return schema.name, opset, tuple((a.name, a.type, a.value) for a in attributes), inputs, len(node.outputs)


def _input(x: ir.Value) -> Form:
    """Type, shape and the content that inference may read; the type is None where these do not tell all."""
    dims = None if x.shape is None else tuple(d if isinstance(d, int) else d.value for d in x.shape)
    dtype = x.dtype if isinstance(x.type, ir.TensorType) else None
    if (constant := _readable(x)) is None:
        return dtype, dims, None
    told = dtype == constant.dtype and constant.dtype.name in _NUMBERS and dims == constant.shape.numpy()
    return dtype if told else None, dims, constant.tobytes()


@lru_cache(maxsize=4096)
def _of(form: Form) -> Found:
    """What inference tells of a node of this form, made anew: a node at hand would be held for ever."""
    op, opset, attributes, inputs, count = form
    values = [None if about is None else _value(f"x{k}", *about) for k, about in enumerate(inputs)]
    made = [ir.Attr(name, kind, value) for name, kind, value in attributes]
    node = ir.Node("", op, values, made, num_outputs=count)
    for k, output in enumerate(node.outputs):
        output.name = f"y{k}"
    return _inferred(schema_of(op, opset), node, opset)


def _value(name: str, dtype: ir.DataType, dims: tuple[Any, ...] | None, content: bytes | None) -> ir.Value:
    value = ir.Value(name=name, type=ir.TensorType(dtype), shape=None if dims is None else ir.Shape(dims))
    if content is not None and dims is not None:
        value.const_value = ir.Tensor(np.frombuffer(content, dtype.numpy()).reshape(dims), dtype=dtype)
    return value


def _readable(value: ir.Value) -> ir.TensorProtocol | None:
    """The content of a small initializer."""
    constant = value.const_value
    if constant is None or value.is_graph_input() or constant.size > _MAX_READ:
        return None
    return constant


def _types(values: Iterable[ir.Value]) -> dict[str, onnx.TypeProto]:
    return {str(v.name): ir.serde.serialize_value(v).type for v in values}


def _contents(values: Iterable[ir.Value]) -> dict[str, onnx.TensorProto]:
    found = {str(v.name): _readable(v) for v in values}
    return {name: ir.serde.serialize_tensor(tensor) for name, tensor in found.items() if tensor is not None}
