"""Groups: the elements of an input that a method hides together, and that share one attribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..support.choice import choose
from .explained import Explained
from .superpixels import check_picture, superpixels

__all__ = ["LIMIT", "SUPERPIXELS", "Cells", "Grouping", "Groups"]

Groups = str | np.ndarray | Sequence[Any] | Mapping[str, Any] | None
Cells = int | Sequence[int]
LIMIT = 2**26  # numbers in a matrix of points by groups
SUPERPIXELS = "superpixels"
KINDS = ("grid", "pixels", SUPERPIXELS)


@dataclass(frozen=True)
class Grouping:
    """The groups of every explained input.

    ``groups``: "grid", cells of which ``cells`` lie along each axis but the channels; "pixels", each place with all its
    channels; "superpixels", as many as the grid has cells, of each example its own; an array of integers that numbers
    the groups, in the shape of an example or of its places without the channels; a mapping of input names to these; or
    None, which is "pixels" for tokens and for vectors (each column of a table), else "grid". ``cells`` is a number, or
    one per axis of an example, with or without the channels: (channels, 20) are windows of time of each channel.
    """

    groups: Groups
    cells: Cells

    def __post_init__(self) -> None:
        each = self.groups.values() if isinstance(self.groups, Mapping) else [self.groups]
        for given in each:
            if isinstance(given, str):
                choose(given, KINDS, "kind of groups beside an array (.npy)")
        numbers = self.cells if isinstance(self.cells, Sequence) else [self.cells]
        if isinstance(self.cells, str) or not all(_positive(number) for number in numbers):
            raise InputError(f"cells={self.cells!r}: give a number from 1 up, or one per axis of an example")

    def counts(self, explained: Mapping[str, Explained]) -> dict[str, int]:
        """The number of groups by input; an InputError for groups that do not fit."""
        named = self.groups if isinstance(self.groups, Mapping) else {}
        if unknown := [str(name) for name in named if name not in explained]:
            raise InputError(f"groups for {', '.join(unknown)}: the model's inputs are {', '.join(explained)}")
        return {name: self.count(about) for name, about in explained.items()}

    def count(self, about: Explained) -> int:
        """The number of groups of an input; of superpixels that of the grid's cells."""
        return int(self.of(about).max()) + 1

    def by_example(self, about: Explained) -> bool:
        """Whether each example of an input has groups of its own."""
        return isinstance(given := self._said(about), str) and given == SUPERPIXELS

    def of(self, about: Explained) -> np.ndarray:
        """The group of each element of one input, numbered from 0; integers that broadcast over an example.

        Of superpixels, which hang on the example, it is the grid that has as many.
        """
        if None in about.shape:
            raise InputError(f"groups need the shape of input {about.name!r}, which is open: {about.shape}")
        given = self._said(about)
        if given is not None and not isinstance(given, str):
            return _numbered(given, about)
        if given == SUPERPIXELS:
            check_picture(about)
        each = given or ("pixels" if about.tokens or len(about.shape) < 2 else "grid")
        return _grid(about.shape, _but_channels(about, about.shape) if each == "pixels" else self._along(about))

    def of_examples(self, array: np.ndarray, about: Explained) -> np.ndarray:
        """The superpixels of each example in the array of an input: (N, *places) int64."""
        examples = array[None] if about.batch is None else np.moveaxis(array, about.batch, 0)
        channels = 1 + (about.channels or 0)
        return np.stack([superpixels(np.moveaxis(one, channels - 1, -1), self.count(about)) for one in examples])

    def _said(self, about: Explained) -> Any:
        return self.groups.get(about.name) if isinstance(self.groups, Mapping) else self.groups

    def _along(self, about: Explained) -> Sequence[int | None]:
        """How many cells lie along each axis of an example."""
        if not isinstance(self.cells, Sequence):
            return _but_channels(about, [self.cells] * len(about.shape))
        return about.per_axis(self.cells, 1, "cells")


def _positive(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool) and bool(number >= 1)


def _but_channels(about: Explained, cells: Sequence[int | None]) -> list[int | None]:
    """One cell along the channels, so that those of a place belong together."""
    return [1 if axis == about.channels else count for axis, count in enumerate(cells)]


def _grid(shape: Sequence[int | None], cells: Sequence[int | None]) -> np.ndarray:
    """Cells numbered in C order, of sizes that differ by one at most."""
    found = np.zeros([1] * len(shape), np.int64)
    for axis, (size, count) in enumerate(zip(shape, cells, strict=True)):
        most = min(count or 1, size or 1)
        part = np.arange(size or 1) * most // (size or 1) if most > 1 else np.zeros(1, np.int64)
        found = found * most + part.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return found


def _numbered(given: Any, about: Explained) -> np.ndarray:
    """The groups of an array, numbered from 0 without gaps."""
    try:
        array, rank = np.asarray(given), len(about.shape)
    except ValueError:
        raise InputError(f"groups for input {about.name!r}: the rows of a list differ in length") from None
    if array.ndim == rank - 1 and about.channels is not None:
        array = np.expand_dims(array, about.channels)
    fits = array.ndim == rank and all(n in (1, m) for n, m in zip(array.shape, about.shape, strict=True))
    if array.dtype.kind not in "iub" or not fits:
        places = about.places
        raise InputError(
            f"groups of type {array.dtype} and shape {np.shape(given)} for input {about.name!r}: give integers of "
            f"shape {places}" + (f" or {about.shape}" if places != about.shape else "")
        )
    return np.unique(array, return_inverse=True)[1].reshape(array.shape)
