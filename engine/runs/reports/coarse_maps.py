"""Coarse maps: whatever size a map has, up to 8 numbers along each axis, to compare where maps lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..run_table import RunTable

__all__ = ["MapBatch", "coarse", "map_batches"]

SIDE = 8
Array = NDArray[np.float32]


@dataclass(frozen=True)
class MapBatch:
    """Maps of one shape, each between -1 and 1 on its own scale: ``rows`` are their places in the table."""

    rows: NDArray[np.int64]
    maps: Array


def map_batches(run: RunTable) -> Iterator[MapBatch]:
    """The maps of a run, a row group at a time, those of one shape together; rows without a map are left out."""
    first = 0
    for batch in run.batches("map", "shape"):
        held = np.flatnonzero(~batch["map"].is_null().to_numpy(zero_copy_only=False))
        shapes = [tuple(shape) for shape in batch["shape"].take(held).to_pylist()]
        maps = batch["map"].take(held)
        for shape in dict.fromkeys(shapes):
            chosen = np.array([k for k, one in enumerate(shapes) if one == shape])
            flat = maps.take(chosen).flatten().to_numpy(zero_copy_only=False)
            yield MapBatch(first + held[chosen], flat.astype(np.float32).reshape(-1, *shape))
        first += batch.num_rows


def coarse(maps: Array) -> Array:
    """Maps (N, ...) as the means of up to 8 parts of each axis (N, M), each of length 1; one without evidence is 0."""
    found = maps
    for axis in range(1, maps.ndim):
        length = found.shape[axis]
        starts = np.arange(min(SIDE, length)) * length // min(SIDE, length)
        counts = np.diff([*starts, length]).reshape(-1, *(1,) * (maps.ndim - 1 - axis))
        found = np.add.reduceat(found, starts, axis) / counts
    flat = found.reshape(len(maps), -1)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, lengths, out=np.zeros_like(flat), where=lengths > 0).astype(np.float32)
