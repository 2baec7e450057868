"""How far an array is from the one that it should be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["relative_l2"]

LEAST = 1e-30  # for a norm of zero


def relative_l2(found: Iterable[np.ndarray], truth: Iterable[np.ndarray]) -> float:
    """The Euclidean norm of the difference over that of ``truth``, of all arrays together, in float64."""
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(found, truth, strict=True)]
    return _norm(a - b for a, b in pairs) / max(_norm(b for _, b in pairs), LEAST)


def _norm(arrays: Iterable[np.ndarray]) -> float:
    return float(np.sqrt(sum(float(np.sum(array**2)) for array in arrays)))
