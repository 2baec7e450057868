"""Checks of a model file's messages before its graph is built: tensors, opsets, calls of functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import onnx
import onnx_ir as ir

from ..errors import ModelError

__all__ = ["check_wellformed"]

MOST_NODES = 1_000_000  # after every call of a function has become the nodes of the function's body
_LARGE = 2**16  # bytes of a tensor that is not handed to the standard's checker, which would copy it
_TYPES = frozenset(kind.value for kind in ir.DataType) - {ir.DataType.UNDEFINED.value}
_MOST_VERSION = 2**31 - 1

Key = tuple[str, str, str]


def check_wellformed(proto: onnx.ModelProto, where: str) -> None:
    """Raises ModelError for messages that contradict themselves or each other."""
    _check_texts(proto, where)
    _check_references(proto, where)
    for entry in (*proto.opset_import, *(entry for function in proto.functions for entry in function.opset_import)):
        if not 0 <= entry.version <= _MOST_VERSION:
            raise ModelError(f"{where}: opset {entry.version} of {entry.domain or 'ai.onnx'!r} is no version")
    for tensor in _tensors(proto):
        _check_tensor(tensor, where)
    _check_calls(proto, where)


def _check_texts(proto: onnx.ModelProto, where: str) -> None:
    """Names have to be UTF-8, which the parser does not look at; attributes that are graphs or tensors hold one."""
    try:
        for node in _nodes(proto):
            _ = node.name, node.op_type, node.domain, *node.input, *node.output
            for attribute in node.attribute:
                _ = attribute.name
                if _is_empty(attribute):
                    raise ModelError(f"{where}: attribute {attribute.name!r} of node {node.name!r} is empty")
                if attribute.type == onnx.AttributeProto.STRING:
                    attribute.s.decode()
                for text in attribute.strings:
                    text.decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: a name or text attribute is not UTF-8 ({error.reason})") from error


def _check_references(proto: onnx.ModelProto, where: str) -> None:
    """Only a function has attributes to refer to: elsewhere onnxruntime takes the value, onnx-ir the reference."""
    for node in _all_nodes(proto.graph.node):
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                raise ModelError(
                    f"{where}: attribute {attribute.name!r} of node {node.name!r} refers to "
                    f"{attribute.ref_attr_name!r}, the attribute of a function, but the node is in none"
                )


def _is_empty(attribute: onnx.AttributeProto) -> bool:
    """Whether a graph or a tensor is missing; a tensor may be that of a call of the function, graphs may not."""
    if attribute.type == onnx.AttributeProto.GRAPHS:
        return bool(attribute.ref_attr_name)
    if attribute.type == onnx.AttributeProto.GRAPH:
        return bool(attribute.ref_attr_name) or not attribute.HasField("g")
    return attribute.type == onnx.AttributeProto.TENSOR and not (attribute.HasField("t") or attribute.ref_attr_name)


def _graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and all that are inside of nodes."""
    waiting = [proto.graph]
    for function in proto.functions:
        waiting += _inner(function.node)
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += _inner(graph.node)


def _inner(nodes: Iterable[onnx.NodeProto]) -> list[onnx.GraphProto]:
    return [
        graph
        for node in nodes
        for attribute in node.attribute
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs)
    ]


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in _graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs(proto):
        yield from graph.initializer
    for node in _nodes(proto):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    """Its type is one of ONNX, and its numbers are as many as its dimensions say."""
    about = f"{where}: tensor {tensor.name!r}"
    if tensor.data_type not in _TYPES:
        raise ModelError(f"{about} has data type {tensor.data_type}, which is none of ONNX")
    if min(tensor.dims, default=0) < 0 or math.prod(n for n in tensor.dims if n) >= 2**62:
        raise ModelError(f"{about} cannot have the dimensions {list(tensor.dims)}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    if tensor.HasField("raw_data"):
        bits, held = math.prod(tensor.dims) * _bits(tensor.data_type), len(tensor.raw_data)  # each look copies it
        if held != -(-bits // 8):
            kind = ir.DataType(tensor.data_type).name
            raise ModelError(f"{about}, {kind} of dimensions {list(tensor.dims)}, holds {held:,} bytes")
        if held > _LARGE:
            return
    try:
        onnx.checker.check_tensor(tensor)
        ir.serde.TensorProtoTensor(tensor).numpy()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{about} of dimensions {list(tensor.dims)} is not whole: {reason}") from error


def _bits(kind: int) -> int:
    return 0 if kind == onnx.TensorProto.STRING else ir.DataType(kind).bitwidth


def _check_calls(proto: onnx.ModelProto, where: str) -> None:
    """Calls of the model's functions give no more inputs than the functions take, and do not multiply without end."""
    functions: dict[Key, onnx.FunctionProto] = {(f.domain, f.name, f.overload): f for f in proto.functions}
    for node in _nodes(proto) if functions else ():
        function = functions.get(_key(node))
        if function and (len(node.input) > len(function.input) or len(node.output) > len(function.output)):
            raise ModelError(
                f"{where}: node {node.name!r} calls {function.name!r} with {len(node.input)} inputs and "
                f"{len(node.output)} outputs; the function has {len(function.input)} and {len(function.output)}"
            )
    if functions and _expanded(proto, functions, where) > MOST_NODES:
        raise ModelError(f"{where}: its functions call each other into more than {MOST_NODES:,} nodes")


def _expanded(proto: onnx.ModelProto, functions: Mapping[Key, onnx.FunctionProto], where: str) -> int:
    """How many nodes the graph has when the bodies of functions stand in the place of their calls."""
    calls = {key: Counter(map(_key, _all_nodes(function.node))) for key, function in functions.items()}
    sizes: dict[Key, int] = {}
    open_keys: list[Any] = list(calls)
    under: set[Key] = set()
    while open_keys:
        key = open_keys[-1]
        missing = [inner for inner in calls[key] if inner in calls and inner not in sizes]
        if key in sizes or not missing:
            sizes.setdefault(key, sum(count * sizes.get(inner, 1) for inner, count in calls[key].items()))
            under.discard(open_keys.pop())
        elif key in under:
            raise ModelError(f"{where}: the function {key[1]!r} calls itself")
        else:
            under.add(key)
            open_keys += missing
    return sum(sizes.get(_key(node), 1) for node in _all_nodes(proto.graph.node))


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in _inner([node]):
            yield from _all_nodes(graph.node)


def _key(node: Any) -> Key:
    return node.domain, node.op_type, node.overload
