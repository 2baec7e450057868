"""The candidate takes the settings recorded in the golden file: score, layer, and the options of methods."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..attribution.scores import Score
from ..errors import InputError
from ..methods.catalogue import method_options
from .chosen_target import ChosenTarget
from .model_under_test import DEFAULT_METHODS
from .pair import TARGETS

__all__ = ["as_recorded", "recorded_methods", "recorded_target", "settings"]

DEFAULTS: Mapping[str, Any] = {"score": "logit", "layer": None, "options": {}}


def settings(score: str, layer: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """For the header; without options that JSON has no place for, such as arrays."""
    held = {name: value for name, value in options.items() if _is_plain(value)}
    return {"score": score, "layer": layer, "options": held}


def as_recorded(
    path: Path, header: Mapping[str, Any], given: Mapping[str, Any], methods: Sequence[str]
) -> dict[str, Any]:
    """Settings of the candidate's side: the recorded ones; an InputError where others were given."""
    held = {**DEFAULTS, **header.get("settings", {})}
    having = method_options()
    held["options"] = {k: v for k, v in held["options"].items() if any(m in methods for m, _ in having.get(k, []))}
    for name, default in DEFAULTS.items():
        if given[name] not in (default, held[name]) and "settings" in header:
            raise InputError(f"{path} was recorded with {name} {held[name]!r}, not {given[name]!r}")
    return held if "settings" in header else dict(given)


def recorded_target(path: Path, header: Mapping[str, Any], given: Any) -> Any:
    """The target of the candidate's side: for recorded classes what is given, else the recorded one; an InputError
    where another one was given."""
    held = header.get("target", TARGETS[0])
    if held in TARGETS:
        return given  # each sample has its class
    given = given.score if isinstance(given, ChosenTarget) else given
    if (text := given.typed() if isinstance(given, Score) else given) not in (TARGETS[0], held):
        raise InputError(f"{path} was recorded with target {held!r}, not {text!r}")
    return held


def recorded_methods(path: Path, header: Mapping[str, Any], methods: Sequence[str]) -> list[str]:
    """The requested methods, if all were recorded; of the default methods, the recorded ones."""
    held = list(header["methods"])
    missing = [name for name in methods if name not in held]
    if missing and tuple(methods) != DEFAULT_METHODS:
        raise InputError(f"{path} holds maps of {', '.join(held)}, not of {missing[0]}")
    return [name for name in methods if name in held] or held


def _is_plain(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False
