"""Warnings that point at the user's line, however deep in the package what they are about is found."""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from pathlib import Path

__all__ = ["warn_caller"]

# This package, and what calls one line of it for another: cached values, blocks of with.
PASSED_BY = (str(Path(__file__).parents[1]), functools.__file__, contextlib.__file__)


def warn_caller(text: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the nearest line outside of this package, or at the outermost one where there is none."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(PASSED_BY):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
