"""How far a result is from the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["distance"]


def distance(found: Any, truth: Any, least: float = 0.0) -> float:
    """The relative L2 error, in float64; infinite where the shapes differ, NaN of a truth of zeros.

    ``least`` stands for a smaller norm of the truth.
    """
    a, b = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    if a.shape != b.shape:
        return float("inf")
    size = max(float(np.linalg.norm(b)), least)
    return float(np.linalg.norm(a - b)) / size if size else float("nan")
