"""Checks of options: what is no whole number, or no number, is refused by name."""

from __future__ import annotations

import math
from typing import Any

from ..errors import InputError

__all__ = ["check_level", "check_positive", "check_whole"]


def check_whole(name: str, value: Any, least: int) -> None:
    """A whole number from ``least`` up."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise InputError(f"{name}={value!r}: give a whole number from {least} up")


def check_level(name: str, value: Any) -> None:
    """A finite number from 0 up."""
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(f"{name}={value!r}: give a number from 0 up")


def check_positive(name: str, value: Any) -> None:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name}={value!r}: give a number above 0")
