"""The tensor that a method explains, an input or one in its place, and its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder

__all__ = ["Explained", "broadcast_rows"]


@dataclass(frozen=True)
class Explained:
    """A tensor that gets the credit: its name, shape of one example, and the axes of batch and channels.

    ``batch`` is None for an input without a batch axis; ``channels`` counts in the example's own axes. ``tokens`` is
    the integer input behind embeddings, which are explained in its place; ``tensor`` what is explained where that is
    not the input of this name itself.
    """

    name: str
    shape: tuple[int | None, ...]
    batch: int | None
    channels: int | None
    tokens: str | None = None
    tensor: str | None = None

    @property
    def places(self) -> tuple[int | None, ...]:
        """The sizes of an example without its channels."""
        return tuple(size for axis, size in enumerate(self.shape) if axis != self.channels)

    @property
    def one_channel(self) -> list[int | None]:
        """The sizes of an example, with a single channel where it has channels."""
        return [1 if axis == self.channels else size for axis, size in enumerate(self.shape)]

    def per_axis(self, given: Sequence[int], whole: int | None, name: str, least: str = "") -> list[int | None]:
        """Numbers per axis of an example, of which those of the channels may be left out: they are ``whole`` then.

        Raises InputError, which calls them ``name``, where there are more or fewer.
        """
        if len(given) == len(self.shape):
            return list(given)
        if self.channels is None or len(given) != len(self.places):
            raise InputError(f"{name}={given}: give a number{least}, or {self._counted} for {self.name!r} {self.shape}")
        return [*given[: self.channels], whole, *given[self.channels :]]

    @property
    def _counted(self) -> str:
        if self.channels is None:
            return f"{len(self.shape)} of them"
        return f"{len(self.places)} of them without the channels or {len(self.shape)} with these"

    def sizes(self, what: str) -> list[int]:
        """The sizes of an example; an InputError where they are open, which says what needs them."""
        if None in self.shape:
            raise InputError(f"{what} the shape of input {self.name!r}, which is open: {self.shape}")
        return [size or 0 for size in self.shape]


def broadcast_rows(g: GraphBuilder, rows: ir.Value, x: ir.Value, about: Explained) -> ir.Value:
    """One number per row, shaped so that it multiplies x."""
    shape = [-1 if axis == (about.batch or 0) else 1 for axis in range(g.rank(x))]
    return g.Reshape(rows, g.constant(shape, ir.DataType.INT64))
