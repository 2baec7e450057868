"""The weights of a converted model, kept in a file while the model is checked and written.

In memory beside the framework's own copy, each further one of VGG16 is half a gigabyte: every session maps the file,
and the .onnx is streamed from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import onnx
from onnxray.support.heap import release
from onnxray.support.writing import temporary_folder, writing

__all__ = ["Stored", "stored"]

WEIGHTS = "weights.bin"
SMALL = 4096
CHUNK = 1 << 24
# Tags of the length-delimited fields that are written by hand.
GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER << 3 | 2
INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER << 3 | 2
RAW_DATA = onnx.TensorProto.RAW_DATA_FIELD_NUMBER << 3 | 2


@contextmanager
def stored(model: onnx.ModelProto) -> Iterator[Stored]:
    """Move the weights of a model to a temporary file; the model given can then be dropped."""
    with temporary_folder() as folder:
        with writing(folder):
            files = Stored(without_weights(model, folder), folder)
        del model  # or this frame would keep it
        yield files


def without_weights(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """A copy of a model whose large weights are in a file of a folder."""
    with (folder / WEIGHTS).open("wb") as file:
        weights = [outside(tensor, file) for tensor in model.graph.initializer]
    graph = onnx.GraphProto(name=model.graph.name, initializer=weights)
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(model.graph, field))
    light = onnx.ModelProto(ir_version=model.ir_version, graph=graph)
    for field in ("opset_import", "functions", "metadata_props"):
        getattr(light, field).extend(getattr(model, field))
    return light


def outside(tensor: onnx.TensorProto, file: BinaryIO) -> onnx.TensorProto:
    """A tensor whose data are in a file; small ones stay as they are."""
    data = tensor.raw_data
    if len(data) < SMALL:
        return tensor
    place = {"location": WEIGHTS, "offset": file.tell(), "length": file.write(data)}
    moved = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    moved.data_location = onnx.TensorProto.EXTERNAL
    for key, value in place.items():
        moved.external_data.add(key=key, value=str(value))
    return moved


@dataclass(frozen=True)
class Stored:
    """A model without its large weights, and the folder of the file that holds them."""

    model: onnx.ModelProto
    folder: Path

    def whole(self) -> onnx.ModelProto:
        """The model with all of its weights in it."""
        release()
        full = onnx.ModelProto()
        full.CopyFrom(self.model)
        with (self.folder / WEIGHTS).open("rb") as file:
            for tensor in filter(is_outside, full.graph.initializer):
                offset, length = place_of(tensor)
                file.seek(offset)
                tensor.raw_data = file.read(length)
                drop_place(tensor)
        return full

    def write(self, path: Path) -> None:
        """Write one .onnx file, as protobuf would: fields in length-delimited records, the weights streamed."""
        model, graph = onnx.ModelProto(), onnx.GraphProto()
        model.CopyFrom(self.model)
        graph.CopyFrom(model.graph)
        model.ClearField("graph")
        moved = [tensor for tensor in graph.initializer if is_outside(tensor)]
        kept = [tensor for tensor in graph.initializer if not is_outside(tensor)]
        parts = [(head_of(tensor), *place_of(tensor)) for tensor in moved]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        body = graph.SerializeToString()
        records = [opening(INITIALIZER, len(head) + length) + head for head, _, length in parts]
        size = len(body) + sum(len(r) + length for r, (_, _, length) in zip(records, parts, strict=True))
        with (self.folder / WEIGHTS).open("rb") as source, path.open("wb") as file:
            file.write(model.SerializeToString() + opening(GRAPH, size) + body)
            for record, (_, offset, length) in zip(records, parts, strict=True):
                file.write(record)
                copy(source, file, offset, length)


def is_outside(tensor: onnx.TensorProto) -> bool:
    """Whether the data of a tensor are in a file."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def place_of(tensor: onnx.TensorProto) -> tuple[int, int]:
    """Offset and length of a tensor's data in their file."""
    place = {entry.key: entry.value for entry in tensor.external_data}
    return int(place["offset"]), int(place["length"])


def drop_place(tensor: onnx.TensorProto) -> None:
    """Forget that a tensor's data were in a file."""
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def head_of(tensor: onnx.TensorProto) -> bytes:
    """The encoding of a tensor up to its data."""
    _, length = place_of(tensor)
    head = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    return head.SerializeToString() + opening(RAW_DATA, length)


def opening(tag: int, length: int) -> bytes:
    """Tag and length of a record, the length in base 128, the low digits first."""
    digits = []
    while length > 127:
        digits.append(length & 127 | 128)
        length >>= 7
    return bytes([tag, *digits, length])


def copy(source: BinaryIO, target: BinaryIO, offset: int, length: int) -> None:
    """Copy a part of a file in pieces."""
    source.seek(offset)
    for start in range(0, length, CHUNK):
        target.write(source.read(min(CHUNK, length - start)))
