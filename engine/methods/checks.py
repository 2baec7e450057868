"""Checks of options: what is no whole number, or no number, is refused by name."""

from __future__ import annotations

import math
from typing import Any

from ..errors import InputError

__all__ = ["check_draws", "check_level", "check_positive", "check_share", "check_whole"]


def check_whole(name: str, value: Any, least: int) -> None:
    """A whole number from ``least`` up."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise InputError(f"{name}={value!r}: give a whole number from {least} up")


def check_level(name: str, value: Any) -> None:
    """A finite number from 0 up."""
    if not _is_number(value) or value < 0:
        raise InputError(f"{name}={value!r}: give a number from 0 up")


def check_share(name: str, value: Any) -> None:
    """A number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise InputError(f"{name}={value!r}: give a number from 0 to 1")


def check_draws(samples: Any, seed: Any) -> None:
    """The number of random samples of a method, and their seed."""
    check_whole("samples", samples, 1)
    check_whole("seed", seed, 0)


def check_positive(name: str, value: Any) -> None:
    """A finite number above 0."""
    if not _is_number(value) or value <= 0:
        raise InputError(f"{name}={value!r}: give a number above 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
