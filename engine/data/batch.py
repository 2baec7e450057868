"""Batch and Prepared: checked arrays for a model, and the pictures that they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..errors import InputError
from .preprocess import Preprocess

__all__ = ["Batch", "Prepared", "concatenated"]


@dataclass(frozen=True)
class Batch:
    """The arrays of a model's inputs, which axis of each counts examples, and the batch size if the model sets it."""

    feeds: Mapping[str, np.ndarray]
    axes: Mapping[str, int | None]
    fixed: int | None = None

    @property
    def examples(self) -> int:
        return next((self.feeds[name].shape[axis] for name, axis in self.axes.items() if axis is not None), 1)

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of these examples; an input without a batch axis as it is, and views of those that follow."""
        if np.array_equal(rows, np.arange(self.examples)):
            return dict(self.feeds)
        first = int(rows[0]) if len(rows) else 0
        in_order = np.array_equal(rows, np.arange(first, first + len(rows)))
        return {
            name: array if (axis := self.axes[name]) is None else _taken(array, rows, axis, in_order)
            for name, array in self.feeds.items()
        }

    def beside(self, arrays: Mapping[str, np.ndarray]) -> Batch:
        """The same batch with arrays whose first axis counts examples; an InputError where there are others."""
        for name, array in arrays.items():
            if len(array) != self.examples:
                raise InputError(f"{name}: {len(array)} arrays for {self.examples} examples; give one for each")
        return replace(self, feeds={**self.feeds, **arrays}, axes={**self.axes, **dict.fromkeys(arrays, 0)})

    def fill(self, rows: np.ndarray) -> np.ndarray:
        """Rows up to a fixed batch size, the last one repeated."""
        return rows if self.fixed is None else np.pad(rows, (0, self.fixed - len(rows)), mode="edge")


def _taken(array: np.ndarray, rows: np.ndarray, axis: int, in_order: bool) -> np.ndarray:
    if not in_order:
        return np.take(array, rows, axis)
    return array[(slice(None),) * axis + (slice(rows[0], rows[-1] + 1) if len(rows) else slice(0),)]


@dataclass(frozen=True)
class Prepared:
    """Checked arrays, and the pictures that they were made from, by which preprocessing; which inputs are states that
    were left out and start at zero."""

    batch: Batch
    pictures: tuple[Image.Image, ...] = ()
    preprocess: Preprocess | None = None
    states: tuple[str, ...] = ()

    @property
    def as_one(self) -> Prepared:
        """The same arrays as one example."""
        return replace(self, batch=replace(self.batch, axes=dict.fromkeys(self.batch.axes), fixed=None))

    @property
    def shapes(self) -> dict[str, list[int | str | None]]:
        """The shapes of the arrays, batch left open where the model leaves it open."""
        return {
            name: [
                "batch" if axis == self.batch.axes[name] and not self.batch.fixed else n
                for axis, n in enumerate(a.shape)
            ]
            for name, a in self.batch.feeds.items()
        }


def concatenated(several: Sequence[Prepared]) -> Prepared:
    """The examples of several inputs, one after another; their arrays must have equal shapes but for examples."""
    first, batches = several[0], [one.batch for one in several]
    feeds = {
        name: first.batch.feeds[name] if axis is None else np.concatenate([one.feeds[name] for one in batches], axis)
        for name, axis in first.batch.axes.items()
    }
    pictures = tuple(picture for one in several for picture in one.pictures)
    return replace(first, batch=replace(first.batch, feeds=feeds), pictures=pictures)
