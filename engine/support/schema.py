"""JSON from outside, checked against a type by msgspec: one error that names the file and the field."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from ..errors import OnnxrayError

__all__ = ["Meta", "Name", "Struct", "decoded", "typed"]

T = TypeVar("T")
Struct, Meta = msgspec.Struct, msgspec.Meta
Name = str | int | float | bool | None | list[str]  # of a class; other tools write numbers and pairs of id and name


def decoded(text: str | bytes, kind: type[T], where: str, error: type[OnnxrayError]) -> T:
    """The value that a JSON text holds; ``error`` where it is no JSON or of another type. NaN and Infinity are read."""
    try:
        value = json.loads(text)
    except ValueError as problem:
        raise error(f"{where} is no JSON: {' '.join(str(problem).split())}") from problem
    except RecursionError as problem:
        raise error(f"{where} is nested too deep to be read") from problem
    return typed(value, kind, where, error)


def typed(value: Any, kind: type[T], where: str, error: type[OnnxrayError]) -> T:
    """A value made of dicts and lists, as what it has to be; keys of objects may be numbers in text."""
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as problem:
        raise error(f"{where}: {problem}") from problem
