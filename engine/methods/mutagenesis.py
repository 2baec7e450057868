"""In-silico mutagenesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from ..support.choice import choose
from .base import EmitContext, Emitted, Method, Reduction
from .checks import check_whole
from .explained import Explained, broadcast_rows
from .group_nodes import rows_along
from .samplers import Sampler

__all__ = ["Mutagenesis"]

ALPHABET = 4  # A, C, G and T
SHOWN = ("changes", "centred", "present")


@dataclass(frozen=True)
class OneLetter(Sampler):
    """Every letter at every position of the sequence, one point each; a point is the number of both."""

    letters: int | None

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        """-1 changes nothing: at point 0, and in an input while another is changed."""
        axes = letters_axes(explained, self.letters)
        sizes = {name: _sizes(explained[name], axis) for name, axis in axes.items()}
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


@dataclass(frozen=True)
class Mutagenesis(Method):
    """Change of the score as a letter of a one-hot sequence becomes another (Zhou, 2015, doi:10.1038/nmeth.3547).

    ``letters`` is the axis of the letters in an example, 0 for (4, L) and 1 for (L, 4); None for the axis of size 4.
    ``show``: "changes", the score with the letter less that of the sequence; "centred", these less their mean over the
    letters of the position; or "present", of these the letters that are there, for a sequence logo.
    """

    name: ClassVar[str] = "mutagenesis"
    reduction: ClassVar[Reduction] = "mean"
    differentiates: ClassVar[bool] = False
    blank: ClassVar[str] = "another letter never changes the score; choose another target="
    letters: int | None = field(
        default=None,
        metadata={
            "help": "axis of the letters in a one-hot sequence, counted without the batch; found where one axis has "
            "size 4"
        },
    )
    show: Literal["changes", "centred", "present"] = field(
        default="changes",
        metadata={"help": "changes of the score, centred at each position, or of these the letters that are present"},
    )

    def __post_init__(self) -> None:
        choose(self.show, SHOWN, "show")
        if self.letters is not None:
            check_whole("letters", self.letters, 0)

    def samplers(self) -> Sequence[Sampler]:
        return (OneLetter(self.letters),)

    def emit(self, context: EmitContext) -> Emitted:
        g, totals = context.g, {}
        for name, axis in letters_axes(context.explained, self.letters).items():
            x, about = context.inputs[name], context.explained[name]
            here, letter = mutated(g, about, self.letters, context.points)
            one = g.Cast(g.And(here, g.Cast(letter, to=ir.DataType.BOOL)), to=ir.DataType.FLOAT)
            own = g.as_float32(x)
            change = broadcast_rows(g, g.Sub(context.score, context.reference), x, about)
            axes = [k for k in range(g.rank(x)) if k != about.batch]
            there = g.ReduceSum(g.Mul(one, own), axes, keepdims=1)  # 1 where the letter is the one that is there
            change = g.Mul(change, g.Cast(g.Less(there, 0.999), to=ir.DataType.FLOAT))
            part = self._part(g, one, g.Cast(here, to=ir.DataType.FLOAT), own, _sizes(about, axis)[0])
            totals[name] = g.shaped_like(g.Mul(change, part), x)
        return Emitted(totals)

    def _part(self, g: GraphBuilder, one: ir.Value, here: ir.Value, x: ir.Value, count: int) -> ir.Value:
        """How the change of a point counts in the map."""
        if self.show == "changes":
            return one
        mean = g.Div(here, float(count))
        return g.Sub(one, mean) if self.show == "centred" else g.Mul(x, g.Sub(one, mean))

    def example_inputs(
        self, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
    ) -> dict[str, np.ndarray]:
        """None; an InputError for a sequence that is not one-hot."""
        for name, axis in letters_axes(explained, self.letters).items():
            about, array = explained[name], arrays[name]
            whole = axis if about.batch is None or axis < about.batch else axis + 1
            sums = array.astype(np.float64).sum(whole)
            if (array < 0).any() or not (np.isclose(sums, 1, atol=1e-3) | (sums == 0)).all():
                raise InputError(
                    f"mutagenesis is of one-hot sequences, and input {name!r} {array.shape} is not one-hot along "
                    f"axis {whole}; letters= is the axis of the letters in an example"
                )
        return {}


def mutated(
    g: GraphBuilder, about: Explained, letters: int | None, points: Mapping[str, ir.Value]
) -> tuple[ir.Value, ir.Value]:
    """Whether a point changes a position, and the one-hot letter there; both broadcast over the input."""
    axis = letters_axes({about.name: about}, letters)[about.name]
    count, positions = _sizes(about, axis)
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
        raise InputError(f"mutagenesis finds no single axis of size {ALPHABET} in {shapes}; name it by letters=")
    return found


def _letters_axis(about: Explained, letters: int | None) -> int | None:
    if None in about.shape:
        raise InputError(f"mutagenesis needs the shape of input {about.name!r}, which is open: {about.shape}")
    if about.tokens or len(about.shape) < 2:
        return None
    axes = [axis for axis, size in enumerate(about.shape) if (size == ALPHABET if letters is None else axis == letters)]
    return axes[0] if len(axes) == 1 else None


def _sizes(about: Explained, axis: int) -> tuple[int, int]:
    """The number of letters, and that of positions."""
    count = about.shape[axis] or 1
    return count, int(np.prod([size or 1 for size in about.shape])) // count
