"""Samples joined to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError

__all__ = ["collated"]


def collated(given: Sequence[Any]) -> Any:
    """Pictures as a list; arrays, or arrays by name, joined along the first axis. InputError where shapes differ."""
    if isinstance(given[0], Mapping):
        return {name: _joined([one[name] for one in given]) for name in given[0]}
    if isinstance(given[0], np.ndarray):
        return _joined(given)
    return list(given)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    if len(shapes := {array.shape[1:] for array in arrays}) > 1:
        raise InputError(f"samples of the shapes {', '.join(map(str, sorted(shapes)))} make no batch")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
