"""A map as metrics see it: what several of them ask of it is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...optional import import_extra

__all__ = ["AttributionMap", "Map", "strength"]

Map = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """A map as it came from its method: (C, H, W), (H, W) or (features,), signed."""

    raw: Map

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The signed values, in the precision that sums are taken in."""
        return np.asarray(self.raw, np.float64)

    @cached_property
    def strength(self) -> NDArray[np.float64]:
        """Where the evidence lies, whichever way it points."""
        return strength(self.raw)

    @cached_property
    def ranks(self) -> NDArray[np.float64]:
        """The ranks of the signed values in one row, equal values sharing their mean rank; made of one row, as an array
        of several axes would never be freed (bottleneck 1.6, pydata/bottleneck#521)."""
        return import_extra("bottleneck").rankdata(self.raw.ravel())


def strength(values: Map) -> NDArray[np.float64]:
    """Magnitudes without channels: of (C, H, W) or (H, W, C) the largest over the axis of the fewest elements."""
    size = np.abs(np.asarray(values))
    if size.ndim > 2:
        size = size.max(axis=int(np.argmin(size.shape[-3:])) + size.ndim - 3)
    return size.astype(np.float64, copy=False)
