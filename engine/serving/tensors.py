"""Tensors of protocol v2: arrays from JSON or from the bytes behind it, and back."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from ..errors import InputError
from .messages import InferBody, OutputWanted, TensorGiven

__all__ = ["BYTES", "datatype", "read_tensors", "written"]

BYTES = "BYTES"
TYPES: Mapping[str, Any] = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}  # fmt: skip
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}
SIZE = "binary_data_size"


def datatype(dtype: Any) -> str:
    """The protocol's name of a type; text is BYTES."""
    return NAMES.get(np.dtype(dtype), BYTES)


def read_tensors(body: InferBody, rest: memoryview) -> dict[str, np.ndarray]:
    """The arrays of a request by name; those of BYTES hold bytes. Raises InputError for data that do not fit."""
    found: dict[str, np.ndarray] = {}
    at = 0
    for one in body.inputs:
        size = one.parameters.get(SIZE)
        if size is not None and (
            isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest) - at
        ):
            raise InputError(f"input {one.name!r}: {SIZE} does not fit the bytes behind the JSON")
        if one.name in found:
            raise InputError(f"input {one.name!r} is given twice")
        found[one.name] = _from_json(one) if size is None else _from_bytes(one, rest[at : at + size])
        at += size or 0
    if at != len(rest):
        raise InputError(f"{len(rest) - at} bytes behind the JSON belong to no input")
    return found


def _shape(one: TensorGiven) -> list[int]:
    if any(size < 0 for size in one.shape) or len(one.shape) > 16:
        raise InputError(f"input {one.name!r}: the shape has a negative size, or more than 16")
    return one.shape


def _type(one: TensorGiven) -> Any:
    if one.datatype not in TYPES:
        raise InputError(f"input {one.name!r}: the datatype is none of {', '.join([*TYPES, BYTES])}")
    return np.dtype(TYPES[one.datatype])


def _from_json(one: TensorGiven) -> np.ndarray:
    if one.data is UNSET:
        raise InputError(f"input {one.name!r} has no data")
    if one.datatype == BYTES:
        if not isinstance(one.data, list) or not all(isinstance(text, str) for text in one.data):
            raise InputError(f"input {one.name!r}: data of BYTES is a list of texts")
        return _shaped(one, _objects([text.encode() for text in one.data]))
    kind = _type(one)
    array = _of_kind(one.data, kind)
    if array is None:
        raise InputError(f"input {one.name!r}: data are not all {one.datatype}")
    return _shaped(one, array)


def _of_kind(data: Any, kind: Any) -> np.ndarray | None:
    """Values of JSON as an array of a kind; None where it does not hold all of them."""
    try:
        values = np.asarray(data)
        if values.size and values.dtype.kind != kind.kind and not (kind.kind in "fiu" and values.dtype.kind in "iu"):
            return None
        array = values.astype(kind)
    except (ValueError, TypeError, OverflowError):
        return None
    return array if kind.kind not in "iu" or np.array_equal(array, values) else None


def _from_bytes(one: TensorGiven, part: memoryview) -> np.ndarray:
    if one.datatype == BYTES:
        return _shaped(one, _objects(list(_elements(one.name, part))))
    kind = _type(one)
    if len(part) % kind.itemsize:
        raise InputError(f"input {one.name!r}: {len(part)} bytes are no whole number of {one.datatype}")
    return _shaped(one, np.frombuffer(part, kind.newbyteorder("<")).astype(kind, copy=False))


def _shaped(one: TensorGiven, array: np.ndarray) -> np.ndarray:
    try:
        return array.reshape(_shape(one))
    except (ValueError, OverflowError):
        raise InputError(f"input {one.name!r}: {array.size} elements do not fit the shape {one.shape}") from None


def _elements(name: str, part: memoryview) -> Iterable[bytes]:
    """The elements of BYTES: each behind its length, in 4 bytes."""
    at = 0
    while at < len(part):
        size = struct.unpack_from("<I", part, at)[0] if at + 4 <= len(part) else len(part)
        if at + 4 + size > len(part):
            raise InputError(f"input {name!r}: the lengths of its elements do not fit its bytes")
        yield bytes(part[at + 4 : at + 4 + size])
        at += 4 + size


def _objects(elements: Sequence[bytes]) -> np.ndarray:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


def written(
    head: Mapping[str, Any], arrays: Mapping[str, np.ndarray], wanted: Sequence[OutputWanted] | None, binary: bool
) -> tuple[bytes, int | None]:
    """A response's bytes, and how many of them are its JSON, where there are others behind it.

    ``wanted`` are the outputs to give, all by default, and ``binary`` whether they are bytes where they do not say.
    """
    chosen = wanted if wanted is not None else [OutputWanted(name) for name in arrays]
    if unknown := [one.name for one in chosen if one.name not in arrays]:
        raise InputError(f"there is no output {unknown[0][:64]!r}; there are {', '.join(arrays)}")
    outputs, parts = [], []
    for one in chosen:
        array = arrays[one.name]
        said: dict[str, Any] = {"name": one.name, "datatype": datatype(array.dtype), "shape": list(array.shape)}
        if one.parameters.get("binary_data", binary):
            parts.append(_packed(array))
            said["parameters"] = {SIZE: len(parts[-1])}
        else:
            items = array.ravel().tolist()
            said["data"] = [_text(item) for item in items] if array.dtype.kind in "OUS" else items
        outputs.append(said)
    json = msgspec.json.encode({**head, "outputs": outputs})
    return b"".join([json, *parts]), len(json) if parts else None


def _packed(array: np.ndarray) -> bytes:
    if array.dtype.kind not in "OUS":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    texts = [_text(item).encode() for item in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _text(item: Any) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
