"""The bodies of requests, as JSON has them; what does not fit is told with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .request_refusal import Refusal

__all__ = ["Asked", "InferBody", "InstancesBody", "OutputWanted", "TensorGiven", "decoded_body", "schema_of"]


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of the model; without a method in v2, its outputs.

    ``target`` is as on the command line, one for all rows or a list; ``draw``: pictures of the maps, too (v1). A name
    that is none of these is refused, as a misspelt target would give the map of another.
    """

    method: str | None = None
    target: Any = "top1"
    draw: bool = False
    binary_data_output: bool = False


class InstancesBody(Struct, forbid_unknown_fields=True):
    """A request of protocol v1: a list of instances, or columns by input.

    An instance is the array of the only input, an object of arrays by input, ``{"b64": ...}`` with a picture's file
    for a model of pictures, or ``{"text": ...}`` for one that is served with a tokenizer.
    """

    instances: list[Any] | UnsetType = UNSET
    inputs: Any | UnsetType = UNSET
    parameters: Asked = Asked()


class TensorGiven(Struct):
    """A tensor of protocol v2; its data follow as JSON, or behind the JSON in so many bytes."""

    name: str
    shape: list[int]
    datatype: str
    data: Any | UnsetType = UNSET
    parameters: dict[str, Any] = {}


class OutputWanted(Struct):
    """An output that a request of protocol v2 names."""

    name: str
    parameters: dict[str, Any] = {}


class InferBody(Struct):
    """A request of protocol v2."""

    inputs: list[TensorGiven]
    id: str | None = None
    parameters: Asked = Asked()
    outputs: list[OutputWanted] | None = None


def decoded_body(body: bytes | memoryview, kind: type[Any]) -> Any:
    """The body as a message of a kind; a Refusal says what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) if isinstance(error, msgspec.DecodeError) else "it cannot be read as JSON"
        raise Refusal(400, f"the body does not fit: {text}", "body") from None


def schema_of(kind: type[Any]) -> Mapping[str, Any]:
    """The request body of an OpenAPI operation."""
    _, parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {"required": True, "content": {"application/json": {"schema": {**parts[kind.__name__], "$defs": parts}}}}
