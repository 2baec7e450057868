"""One letter of a one-hot sequence at a time: the points, and the axes of the letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .explained import Explained
from .group_nodes import rows_along
from .samplers import Sampler

__all__ = ["OneLetter", "letters_axes", "mutated", "sizes_of"]

ALPHABET = 4  # A, C, G and T


@dataclass(frozen=True)
class OneLetter(Sampler):
    """Every letter at every position of the sequence, one point each; a point is the number of both."""

    letters: int | None

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        """-1 changes nothing: at point 0, and in an input while another is changed."""
        axes = letters_axes(explained, self.letters)
        sizes = {name: sizes_of(explained[name], axis) for name, axis in axes.items()}
        points = {}
        start, total = 1, 1 + sum(count * places for count, places in sizes.values())
        for name, (count, places) in sizes.items():
            end = start + count * places
            for what, numbers in zip(("place", "letter"), np.divmod(np.arange(end - start), count), strict=True):
                points[f"{what}/{name}"] = np.full((total, 1), -1, np.float32)
                points[f"{what}/{name}"][start:end, 0] = numbers
            start = end
        return points

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        if f"place/{about.name}" not in points:
            return x
        here, letter = mutated(g, about, self.letters, points)
        return g.shaped_like(g.Where(here, g.CastLike(letter, x), x), x)


def mutated(
    g: GraphBuilder, about: Explained, letters: int | None, points: Mapping[str, ir.Value]
) -> tuple[ir.Value, ir.Value]:
    """Whether a point changes a position, and the one-hot letter there; both broadcast over the input."""
    axis = letters_axes({about.name: about}, letters)[about.name]
    count, positions = sizes_of(about, axis)
    shape = [1 if k == axis else size or 1 for k, size in enumerate(about.shape)]
    rank = [-1, *[1] * len(shape)]
    place, letter = (g.Reshape(points[f"{what}/{about.name}"], rank) for what in ("place", "letter"))
    here = g.Equal(place, g.constant(np.arange(positions).reshape(1, *shape), ir.DataType.FLOAT))
    along = [1, *(count if k == axis else 1 for k in range(len(shape)))]
    hot = g.Equal(letter, g.constant(np.arange(count).reshape(along), ir.DataType.FLOAT))
    return rows_along(g, here, about), rows_along(g, g.Cast(hot, to=ir.DataType.FLOAT), about)


def letters_axes(explained: Mapping[str, Explained], letters: int | None) -> dict[str, int]:
    """The axis of the letters, in an example, of each input that is a sequence; an InputError where none is."""
    found = {name: axis for name, about in explained.items() if (axis := _letters_axis(about, letters)) is not None}
    if not found:
        shapes = ", ".join(f"{name!r} {about.shape}" for name, about in explained.items())
        if letters is not None:
            raise InputError(f"letters={letters}: no input is a sequence with such an axis in an example, of {shapes}")
        raise InputError(f"mutagenesis finds no single axis of size {ALPHABET} in {shapes}; name it by letters=")
    return found


def _letters_axis(about: Explained, letters: int | None) -> int | None:
    if None in about.shape:
        raise InputError(f"mutagenesis needs the shape of input {about.name!r}, which is open: {about.shape}")
    if about.tokens or len(about.shape) < 2:
        return None
    axes = [axis for axis, size in enumerate(about.shape) if (size == ALPHABET if letters is None else axis == letters)]
    return axes[0] if len(axes) == 1 else None


def sizes_of(about: Explained, axis: int) -> tuple[int, int]:
    """The number of letters, and that of positions."""
    count = about.shape[axis] or 1
    return count, int(np.prod([size or 1 for size in about.shape])) // count
