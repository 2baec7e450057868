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
from .one_letter import OneLetter, letters_axes, mutated, sizes_of
from .samplers import Sampler

__all__ = ["Mutagenesis"]

SHOWN = ("changes", "centred", "present")


@dataclass(frozen=True)
class Mutagenesis(Method):
    """Change of the score as a letter of a one-hot sequence becomes another (Zhou, 2015, doi:10.1038/nmeth.3547).

    ``letters`` is the axis of the letters in an example, 0 for (4, L) and 1 for (L, 4); None for the axis of size 4.
    ``show``: "changes", the score with the letter less that of the sequence; "centred", these less their mean over the
    letters of the position; or "present", of these the letters that are there, for a sequence logo.
    """

    name: ClassVar[str] = "mutagenesis"
    reduction: ClassVar[Reduction] = "mean"
    series_unit: ClassVar[str] = "positions"
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
            part = self._part(g, one, g.Cast(here, to=ir.DataType.FLOAT), own, sizes_of(about, axis)[0])
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
