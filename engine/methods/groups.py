"""Groups: the elements of an input that a method hides together, and that share one attribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from ..support.choice import choose
from .explained import Explained

__all__ = ["Cells", "Grouping", "Groups", "expand_examples", "mix", "rows_along", "spread"]

Groups = str | np.ndarray | Sequence[Any] | Mapping[str, Any] | None
Cells = int | Sequence[int]
KINDS = ("grid", "pixels")


@dataclass(frozen=True)
class Grouping:
    """The groups of every explained input.

    ``groups``: "grid", cells of which ``cells`` lie along each axis but the channels; "pixels", each place with all its
    channels; an array of integers that numbers the groups, in the shape of an example or of its places without the
    channels; a mapping of input names to these; or None, which is "pixels" for tokens and for vectors (each column of a
    table), else "grid". ``cells`` is a number, or one per axis of an example: (channels, 20) are windows of time.
    """

    groups: Groups
    cells: Cells

    def __post_init__(self) -> None:
        each = self.groups.values() if isinstance(self.groups, Mapping) else [self.groups]
        for given in each:
            if isinstance(given, str):
                choose(given, KINDS, "kind of groups")
        numbers = self.cells if isinstance(self.cells, Sequence) else [self.cells]
        if isinstance(self.cells, str) or not all(_positive(number) for number in numbers):
            raise InputError(f"cells={self.cells!r}: give a number from 1 up, or one per axis of an example")

    def maps(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        """The group of each element by input, numbered from 0, in arrays that broadcast over an example."""
        named = self.groups if isinstance(self.groups, Mapping) else {}
        if unknown := [str(name) for name in named if name not in explained]:
            raise InputError(f"groups for {', '.join(unknown)}: the model's inputs are {', '.join(explained)}")
        return {name: self.of(about) for name, about in explained.items()}

    def of(self, about: Explained) -> np.ndarray:
        """The group of each element of one input; integers that broadcast over an example."""
        if None in about.shape:
            raise InputError(f"groups need the shape of input {about.name!r}, which is open: {about.shape}")
        given = self.groups.get(about.name) if isinstance(self.groups, Mapping) else self.groups
        if given is not None and not isinstance(given, str):
            return _numbered(given, about)
        each = given or ("pixels" if about.tokens or len(about.shape) < 2 else "grid")
        return _grid(about.shape, self._along(about) if each == "grid" else _but_channels(about, about.shape))

    def _along(self, about: Explained) -> Sequence[int | None]:
        """How many cells lie along each axis of an example."""
        rank = len(about.shape)
        if not isinstance(self.cells, Sequence):
            return _but_channels(about, [self.cells] * rank)
        if len(self.cells) != rank:
            raise InputError(f"cells={self.cells}: give one number, or {rank} of them for {about.name!r} {about.shape}")
        return self.cells


def _positive(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool) and number >= 1


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
    array, rank = np.asarray(given), len(about.shape)
    if array.ndim == rank - 1 and about.channels is not None:
        array = np.expand_dims(array, about.channels)
    fits = array.ndim == rank and all(n in (1, m) for n, m in zip(array.shape, about.shape, strict=True))
    if array.dtype.kind not in "iub" or not fits:
        places = tuple(size for axis, size in enumerate(about.shape) if axis != about.channels)
        raise InputError(
            f"groups of type {array.dtype} and shape {np.shape(given)} for input {about.name!r}: give integers of "
            f"shape {places}" + (f" or {about.shape}" if places != about.shape else "")
        )
    return np.unique(array, return_inverse=True)[1].reshape(array.shape)


def rows_along(g: GraphBuilder, values: ir.Value, about: Explained) -> ir.Value:
    """Values whose first axis counts rows, with that axis where the input counts examples, or without it."""
    axis, rank = about.batch, g.rank(values)
    if axis is None:
        return g.Squeeze(values, [0])
    return g.Transpose(values, perm=[*range(1, axis + 1), 0, *range(axis + 1, rank)]) if axis else values


def spread(g: GraphBuilder, values: ir.Value, groups: np.ndarray, about: Explained) -> ir.Value:
    """A number for each group, (rows, groups), as one for each element, which broadcasts over the input.

    Gather copies the rows of a group at once, which is many times faster than to gather in every row.
    """
    each = g.Gather(g.Transpose(values, perm=[1, 0]), g.constant(groups, ir.DataType.INT64), axis=0)
    if about.batch is None:
        return g.Squeeze(each, [groups.ndim])
    return g.Transpose(each, perm=[*range(about.batch), groups.ndim, *range(about.batch, groups.ndim)])


def mix(g: GraphBuilder, x: ir.Value, kept: ir.Value, start: np.ndarray) -> ir.Value:
    """x where ``kept`` is 1, to the last bit, the baseline where it is 0; by products, which are faster than Where."""
    kept = g.CastLike(kept, x)
    stays = g.Mul(kept, x)
    return g.shaped_like(g.Add(stays, g.Mul(g.Sub(1, kept), g.constant(start, x.dtype))) if start.any() else stays, x)


def expand_examples(g: GraphBuilder, values: ir.Value, about: Explained) -> ir.Value:
    """Values that broadcast over the input, in its shape."""
    shape = [size or 1 for size in about.shape]
    if about.batch is not None:
        shape.insert(about.batch, 1)
    return g.Expand(values, g.constant(shape, ir.DataType.INT64))
