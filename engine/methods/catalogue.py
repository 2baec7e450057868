"""The methods with their options, read from the docstrings and fields of their classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

from . import METHODS, Method

__all__ = ["MethodInfo", "OptionInfo", "describe_methods", "method_options"]

_PAPER = re.compile(r"\s*\(([^()]*\d{4}[^()]*)\)")


@dataclass(frozen=True)
class OptionInfo:
    """An option of a method: its name, type as written, default, and what it means."""

    name: str
    type: str
    default: Any
    help: str


@dataclass(frozen=True)
class MethodInfo:
    """A method: what it does, its paper and its options."""

    name: str
    summary: str
    paper: str | None
    options: tuple[OptionInfo, ...]


def describe_methods(methods: Iterable[type[Method]] | None = None) -> tuple[MethodInfo, ...]:
    """All methods, in the order of ``METHODS``."""
    return tuple(_describe(method) for method in methods or METHODS.values())


def method_options() -> dict[str, list[tuple[str, OptionInfo]]]:
    """The options of all methods: option name to (method, option) of those that have it."""
    found: dict[str, list[tuple[str, OptionInfo]]] = {}
    for method in describe_methods():
        for option in method.options:
            found.setdefault(option.name, []).append((method.name, option))
    return found


def _describe(method: type[Method]) -> MethodInfo:
    first = (inspect.getdoc(method) or "").split("\n\n")[0].replace("\n", " ")
    paper = _PAPER.search(first)
    return MethodInfo(
        method.name, _PAPER.sub("", first), paper.group(1) if paper else None, tuple(map(_option, fields(method)))
    )


def _option(field: Field[Any]) -> OptionInfo:
    default = field.default if field.default is not MISSING else None
    written = field.type if isinstance(field.type, str) else field.type.__name__
    return OptionInfo(field.name, written, default, field.metadata.get("help", ""))
