"""Weights: read once, left where they lie, and given to the runtime without a copy.

A model file is one protobuf message, which can neither be read nor written from 2 GB on: weights of that size are in
files of their own, from which they are mapped into memory where they are needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx
import onnx_ir as ir

from .file_weights import FileWeight, ModelFile, folded_or_packed

__all__ = [
    "KINDS",
    "LARGE",
    "LIMIT",
    "array_of",
    "content_of",
    "detached",
    "embedded",
    "file_of",
    "needed_to_open",
    "own",
    "put_back",
    "read_all",
    "take_out",
    "weight_bytes",
]

LIMIT = 2**31 - 2**26  # bytes of weights in one message, with room for the graph
LARGE = 2**16  # bytes of a tensor that nothing but the runtime looks into
KINDS = frozenset({"FLOAT", "DOUBLE", "FLOAT16", "INT8", "UINT8", "INT16", "INT32", "INT64"})  # as NumPy knows them


def own(program: ir.Model) -> None:
    """Makes tensors independent, in place, of the message that they were read from, so that it need not be kept.

    Large ones become arrays: those of a message are copied whenever they are looked at.
    """
    for value in _held(program):
        if isinstance(value.const_value, ir.serde.TensorProtoTensor):
            value.const_value = _independent(value.const_value)
    for node in program.graph.all_nodes():
        for name, a in list(node.attributes.items()):
            if a.type == ir.AttributeType.TENSOR and isinstance(a.value, ir.serde.TensorProtoTensor):
                node.attributes[name] = ir.AttrTensor(name, _independent(a.value), a.doc_string)


def read_all(program: ir.Model) -> None:
    """Reads the weights that stay in the model's file, which may be written to from then on."""
    for value in _held(program):
        if isinstance(value.const_value, FileWeight):
            value.const_value = ir.Tensor(value.const_value.numpy(), name=value.name)


def _independent(tensor: ir.serde.TensorProtoTensor) -> ir.TensorProtocol:
    if _is_large(tensor):
        return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    return ir.serde.TensorProtoTensor(onnx.TensorProto.FromString(tensor.raw.SerializeToString()))


def weight_bytes(program: ir.Model, but: Collection[str] = ()) -> int:
    """The memory of all weights together ``but`` those of some names."""
    held = [value.const_value for value in _held(program) if value.name not in but]
    return sum(tensor.nbytes for tensor in held if tensor is not None)


def embedded(program: ir.Model) -> ir.Model:
    """The program, in place, with external weights as its own, mapped into memory."""
    for value in _held(program):
        tensor = value.const_value
        if isinstance(tensor, ir.ExternalTensor):
            value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    return program


def needed_to_open(program: ir.Model) -> frozenset[str]:
    """Weights in the model's own file that a session on a CPU reads while it opens alone, by all that is known."""
    held = [value for value in program.graph.initializers.values() if isinstance(value.const_value, FileWeight)]
    return frozenset(str(value.name) for value in held if folded_or_packed(value))


def detached(
    program: ir.Model, inputs: Collection[str] = (), in_file: Collection[str] = ()
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model as a message without its large weights, which it calls external; and these, by name, not copied.

    Those that ``inputs`` names the message has as inputs of the graph, and they are not read. Those of ``in_file``
    it calls data in the model's own file.
    """
    large = {
        name: (value, tensor)
        for name, value in program.graph.initializers.items()
        if (tensor := value.const_value) is not None and _is_held(tensor) and name not in inputs
    }
    mapped = {
        name: tensor.as_external()
        for name, (_, tensor) in large.items()
        if isinstance(tensor, FileWeight) and name in in_file
    }
    read = {name: tensor for name, (value, tensor) in large.items() if _is_read(value) and name not in mapped}
    arrays = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in read.items()}
    program = program.clone() if large or inputs else program
    for name in inputs:
        _make_input(program.graph, name)
    for name, stub in (mapped | {name: _stub(name, array) for name, array in arrays.items()}).items():
        program.graph.initializers[name].const_value = stub
    for name in large.keys() - arrays.keys() - mapped.keys():  # onnxruntime drops them before it looks for those given
        if not program.graph.initializers[name].is_graph_input():
            program.graph.initializers.pop(name)
    return ir.to_proto(program), arrays


def array_of(weight: ir.Value) -> np.ndarray:
    """The numbers of a weight, not copied where they are in memory or mapped already."""
    if weight.const_value is None:
        raise ValueError(f"{weight.name} is no constant")
    return np.ascontiguousarray(weight.const_value.numpy())


def _stub(name: str, array: np.ndarray) -> ir.ExternalTensor:
    kind, shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
    return ir.ExternalTensor("in memory", 0, array.nbytes, kind, shape=shape, name=name)


def _is_held(tensor: ir.TensorProtocol) -> bool:
    """Whether a weight is a large one in memory, or in the model's own file."""
    return isinstance(tensor, ir.Tensor | FileWeight) and _is_large(tensor)


def _make_input(graph: ir.Graph, name: str) -> None:
    value = graph.initializers.pop(name)
    value.const_value = None
    if not value.is_graph_input():
        graph.inputs.append(value)


def file_of(program: ir.Model) -> ModelFile | None:
    """The file in which weights of a program stay."""
    held = (value.const_value for value in program.graph.initializers.values())
    return next((tensor.file for tensor in held if isinstance(tensor, FileWeight)), None)


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def take_out(program: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Makes plain inputs of large weights, in place, for tools that copy what they are given; the weights by name."""
    graph, taken = program.graph, {}
    for name, value in list(graph.initializers.items()):
        if value.const_value is not None and value.const_value.nbytes > LARGE:
            taken[name] = value.const_value
            _make_input(graph, name)
    return taken


def content_of(tensor: ir.TensorProtocol) -> bytes | memoryview:
    """The bytes of a tensor, not copied where an array of numbers holds them."""
    if tensor.dtype.name not in KINDS:
        return tensor.tobytes()
    return np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data


def put_back(program: ir.Model, taken: Mapping[str, ir.TensorProtocol]) -> None:
    """Undoes ``take_out``, on the program or on what was made of it."""
    graph = program.graph
    for value in [value for value in graph.inputs if value.name in taken]:
        value.const_value = taken[str(value.name)]
        graph.inputs.remove(value)
        graph.register_initializer(value)


def _held(program: ir.Model) -> Iterator[ir.Value]:
    for graph in program.graphs():
        yield from graph.initializers.values()


def _is_large(tensor: ir.TensorProtocol) -> bool:
    return tensor.nbytes > LARGE and tensor.dtype.name in KINDS
