"""Maps as rows keep them: float16 in a unit of their own, with their statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optional import import_extra

__all__ = ["kept_maps"]


def kept_maps(maps: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Of maps (N, ...) the fields of a ``SampleRow`` that are of its map, one dict for each.

    All are computed at once, each from its own numbers alone: they do not depend on the other maps.
    """
    flat = np.ascontiguousarray(maps).reshape(len(maps), -1)
    least, largest = flat.min(axis=1), flat.max(axis=1)
    unit = np.maximum(np.abs(least), np.abs(largest))
    unit[unit == 0] = 1
    with np.errstate(invalid="ignore"):  # of a map with infinities there is an error instead
        scaled = flat / unit[:, None]
        norm = np.linalg.norm(scaled, axis=1) * unit  # float32 does not hold the squares of every map
    half = _halves(scaled)
    statistics = zip(least.tolist(), largest.tolist(), flat.mean(axis=1).tolist(), norm.tolist(), strict=True)
    return [
        {
            "map": half[k],
            "shape": maps.shape[1:],
            "unit": float(unit[k]),
            "statistics": dict(zip(("least", "largest", "mean", "norm"), numbers, strict=True)),
        }
        for k, numbers in enumerate(statistics)
    ]


def _halves(maps: NDArray[np.float32]) -> NDArray[np.float16]:
    """The same in float16, by pyarrow, which takes less time for it than numpy."""
    arrow = import_extra("pyarrow", "run")
    return arrow.array(maps.ravel()).cast(arrow.float16()).to_numpy(zero_copy_only=False).reshape(maps.shape)
