"""Reading a model file with its large weights beside the message: each is read once, to where it stays.

Within the message they would be in memory three times while it is parsed, and a field of a message is copied whenever
it is looked at. The encoding is that of https://protobuf.dev/programming-guides/encoding; the numbers of the fields are
those of onnx.proto.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import google.protobuf.message
import numpy as np
import onnx
import onnx_ir as ir

from ..graph.file_weights import STAYS, FileWeight, ModelFile
from ..graph.weights import KINDS, LARGE

__all__ = ["parsed_apart", "take_back"]

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # of ModelProto, GraphProto and TensorProto
_WIDTHS = {1: 8, 5: 4}  # bytes of the kinds of fields that say no length
_VARINT, _BYTES = 0, 2
_MOST = 2**20  # fields that are looked at: the parser takes less time for each


@dataclass(frozen=True)
class _Field:
    """A field of a message: its number, and where it, its content and the rest of the file begin."""

    number: int
    kind: int
    begin: int
    content: int
    end: int


def parsed_apart(
    file: BinaryIO, kept: ModelFile | None = None
) -> tuple[onnx.ModelProto, dict[str, ir.TensorProtocol]] | None:
    """The message, in which large weights of the graph are called external, and these by name.

    The largest stay in a file that is ``kept`` open. None where that is not plainly possible, such as in a damaged
    file: the parser says what is wrong with it.
    """
    places: dict[int, _Field] = {}
    try:
        size = file.seek(0, os.SEEK_END)
        if size <= LARGE:
            return None
        proto = onnx.ModelProto.FromString(_message(file, size, places))
        weights = [_weight(file, proto.graph.initializer[k], place, kept) for k, place in places.items()]
    except (ValueError, IndexError, google.protobuf.message.DecodeError):
        return None
    names = [tensor.name for tensor in proto.graph.initializer]
    return (proto, {str(one.name): one for one in weights}) if len(set(names)) == len(names) else None


def take_back(program: ir.Model, weights: dict[str, ir.TensorProtocol]) -> None:
    """Ties the weights to the program of the message that they were read beside."""
    for name, weight in weights.items():
        program.graph.initializers[name].const_value = weight


def _weight(file: BinaryIO, tensor: onnx.TensorProto, place: _Field, kept: ModelFile | None) -> ir.TensorProtocol:
    """The weight; a ValueError where its numbers are not as many as its dimensions say."""
    kind, dims = ir.DataType(tensor.data_type), tuple(tensor.dims)
    size = place.end - place.content
    if kind.name not in KINDS or min(dims, default=0) < 0 or math.prod(dims) * kind.itemsize != size:
        raise ValueError
    if tensor.external_data or tensor.data_location != onnx.TensorProto.DEFAULT:
        raise ValueError
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="read apart")
    if kept is not None and size >= STAYS:
        return FileWeight(kept, place.content, kind, dims, tensor.name)
    array = np.frombuffer(_bytes(file, place.content, place.end), kind.numpy().newbyteorder("<")).reshape(dims)
    return ir.Tensor(array.astype(kind.numpy(), copy=False), name=tensor.name)


def _message(file: BinaryIO, size: int, places: dict[int, _Field]) -> bytes:
    """The model's message without its large weights, whose places by their number among the initializers are noted."""
    count, parts, left = 0, [], iter(range(_MOST))
    for field in _fields(file, 0, size, left):
        if field.number != _GRAPH or field.kind != _BYTES:
            parts.append(_bytes(file, field.begin, field.end))
            continue
        inner = []
        for one in _fields(file, field.content, field.end, left):
            if one.number == _INITIALIZER and one.kind == _BYTES:
                inner.append(_tensor(file, one, count, places, left))
                count += 1
            else:
                inner.append(_bytes(file, one.begin, one.end))
        parts.append(_enclosed(_GRAPH, b"".join(inner)))
    return b"".join(parts)


def _tensor(file: BinaryIO, field: _Field, index: int, places: dict[int, _Field], left: Iterator[int]) -> bytes:
    """A weight's field, without its numbers where they are many."""
    if field.end - field.content <= LARGE:
        return _bytes(file, field.begin, field.end)
    parts = []
    for one in _fields(file, field.content, field.end, left):
        if one.number == _RAW_DATA and one.kind == _BYTES and one.end - one.content > LARGE:
            if index in places:  # the last one would count
                raise ValueError
            places[index] = one
        else:
            parts.append(_bytes(file, one.begin, one.end))
    return _enclosed(_INITIALIZER, b"".join(parts))


def _fields(file: BinaryIO, begin: int, end: int, left: Iterator[int]) -> Iterator[_Field]:
    """The fields of a message, each of which takes one of those ``left``; a ValueError where none is."""
    while begin < end:
        if next(left, None) is None:
            raise ValueError
        file.seek(begin)
        tag = _varint(file)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length = _varint(file)
            content = file.tell()
        elif kind == _VARINT:
            content, length = file.tell(), 0
            _varint(file)
            length = file.tell() - content
        else:
            content, length = file.tell(), _WIDTHS.get(kind, end)  # groups, which ONNX has not, reach too far
        if content + length > end:
            raise ValueError
        yield _Field(number, kind, begin, content, content + length)
        begin = content + length


def _varint(file: BinaryIO) -> int:
    """A number of seven bits a byte, the lowest first; an IndexError at the end of the file."""
    number = shift = 0
    while shift < 64:
        byte = file.read(1)[0]
        number |= (byte & 127) << shift
        if byte < 128:
            return number
        shift += 7
    raise ValueError


def _bytes(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)


def _enclosed(number: int, content: bytes) -> bytes:
    """A field of a message in a message."""
    header, rest = bytearray([number << 3 | _BYTES]), len(content)
    while rest > 127:
        header.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*header, rest]) + content
