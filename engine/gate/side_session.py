"""How a side of a comparison runs its model: providers, threads, and how far onnxruntime optimises the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import InputError
from ..runtime import OPTIMIZATIONS, SessionSettings, provider_names
from ..support.choice import choose
from ..support.execution_providers import short_name
from ..support.name_value import name_and_value

__all__ = ["SideSession", "session_json", "session_words", "side_session"]

SideSession = Mapping[str, Any] | Sequence[str]
NAMES = ("provider", "threads", "optimization")
ALL = "all"


def side_session(given: SideSession | None, keyword: str, default: SessionSettings) -> SessionSettings:
    """The default with what is given for one side: ``{"optimization": "off"}`` or ``["optimization=off"]``; the keyword
    is named by an InputError."""
    option = f"--{keyword.replace('_', '-')}"
    if given is None:
        return default
    if isinstance(given, str):
        given = [given]
    pairs = list(given.items()) if isinstance(given, Mapping) else [_typed(text, option) for text in given]
    found = default
    for name, value in pairs:
        found = replace(found, **_setting(choose(name, NAMES, f"setting of {keyword}"), value, keyword))
    return found


def session_json(settings: SessionSettings) -> dict[str, Any]:
    """Settings as reports and golden files hold them."""
    told = {"providers": provider_names(settings.providers), "threads": settings.threads}
    return told | {"optimization": settings.optimization}


def session_words(told: Mapping[str, Any]) -> str:
    """Settings in words, such as "cpu, optimization off, 1 thread"."""
    names = map(short_name, told.get("providers", ()))
    threads = told.get("threads")
    count = "" if threads is None else f"{threads} thread" + "s" * (threads != 1)
    return ", ".join(filter(None, [*names, f"optimization {told.get('optimization', ALL)}", count]))


def _setting(name: str, value: Any, keyword: str) -> dict[str, Any]:
    if name == "threads":
        return {name: _threads(value, keyword)}
    if name == "optimization":
        return {name: choose(value, OPTIMIZATIONS, f"optimization of {keyword}")}
    return {"providers": value}


def _threads(value: Any, keyword: str) -> int | None:
    if value is None or value == ALL:
        return None
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise InputError(f"{keyword}: threads={value!r}; give a number from 1 up, or all")
    return count


def _typed(text: Any, option: str) -> tuple[str, str]:
    return name_and_value(text, option, "NAME=VALUE", "optimization=off, threads=1 or provider=cuda")
