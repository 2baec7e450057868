"""A map as metrics see it: what several of them ask of it is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Map", "Seen", "ranks", "strength"]

Map = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Seen:
    """A map as it came from its method: (C, H, W), (H, W) or (features,), signed."""

    raw: Map

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The signed values, in the precision that sums are taken in."""
        return np.asarray(self.raw, np.float64)

    @cached_property
    def energy(self) -> float:
        """The sum of the squares."""
        return float(np.square(self.values).sum())

    @cached_property
    def strength(self) -> NDArray[np.float64]:
        """Where the evidence lies, whichever way it points."""
        return strength(self.raw)

    @cached_property
    def ranks(self) -> NDArray[np.float64]:
        """The ranks of the signed values."""
        return ranks(self.raw)


def strength(values: Map) -> NDArray[np.float64]:
    """Magnitudes without channels: of (C, H, W) or (H, W, C) the largest over the axis of the fewest elements."""
    size = np.abs(np.asarray(values))
    if size.ndim > 2:
        size = size.max(axis=int(np.argmin(size.shape[-3:])) + size.ndim - 3)
    return size.astype(np.float64, copy=False)


def ranks(values: Map) -> NDArray[np.float64]:
    """Ranks as scipy.stats.rankdata has them, equal values sharing their mean rank, in a third of its time."""
    flat = np.asarray(values).ravel()
    order = _order_of_float32(flat) if flat.dtype == np.float32 else np.argsort(flat)
    found = np.empty(flat.size)
    found[order] = _with_ties(flat[order])
    return found


def _order_of_float32(flat: NDArray[np.float32]) -> NDArray[np.intp]:
    """What sorts: by the lower half of the bits and then by the upper one, as NumPy sorts 16 bits by radix."""
    bits = (flat + np.float32(0)).view(np.int32)  # the sum makes of -0 a 0
    rising = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).view(np.uint32) ^ np.uint32(0x80000000)
    order = np.argsort((rising & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((rising >> 16).astype(np.uint16)[order], kind="stable")]


def _with_ties(held: Map) -> NDArray[np.float64]:
    """The ranks of sorted values: 1, 2, 3, ..., the mean where they are equal."""
    found = np.arange(1.0, held.size + 1)
    same = np.flatnonzero(held[1:] == held[:-1])
    if same.size:
        new = np.append(True, np.diff(same) > 1)
        starts, ends = same[new], same[np.append(new[1:], True)] + 1
        lengths = ends - starts + 1
        offsets = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        found[offsets + np.arange(lengths.sum())] = np.repeat((starts + ends) / 2 + 1, lengths)
    return found
