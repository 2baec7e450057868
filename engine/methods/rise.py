"""RISE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted, Method, Reduction
from .baseline import Baseline
from .checks import check_draws, check_whole
from .coalitions import group_total
from .explained import Explained
from .group_nodes import expand_examples, rows_along
from .groups import Cells
from .option_help import BASELINE, CELLS, SEED
from .samplers import Sampler
from .smooth_masks import SmoothMasks

__all__ = ["Rise"]


@dataclass(frozen=True)
class Rise(Method):
    """Mean score of copies seen through random masks, weighted by each mask (Petsiuk et al., 2018, arXiv:1806.07421).

    A mask is a grid of ``cells`` along each axis but the channels, each open with probability ``keep``, enlarged by
    bilinear interpolation and shifted; columns and tokens are cells themselves. The paper's score is a probability
    (score="output"). An attribution is no contribution: the mean score through all masks is in each.
    """

    name: ClassVar[str] = "rise"
    reduction: ClassVar[Reduction] = "mean"
    adds_up: ClassVar[bool] = False  # its numbers are mean scores
    from_least: ClassVar[bool] = True  # the mean score through all masks is in each number
    differentiates: ClassVar[bool] = False
    blank: ClassVar[str] = "the score is zero through every mask; choose another keep= or another baseline="
    cells: Cells = field(default=8, metadata=CELLS)
    keep: float = field(default=0.5, metadata={"help": "probability that a cell of a mask is open"})
    baseline: Baseline = field(default=0.0, metadata=BASELINE)
    samples: int = field(default=1000, metadata={"help": "masks"})
    seed: int = field(default=0, metadata=SEED)

    def __post_init__(self) -> None:
        for number in self.cells if isinstance(self.cells, Sequence) else [self.cells]:
            check_whole("cells", number, 1)
        check_draws(self.samples, self.seed)
        if isinstance(self.keep, bool) or not isinstance(self.keep, int | float) or not 0 < self.keep < 1:
            raise InputError(f"keep={self.keep!r}: give a probability between 0 and 1")

    @property
    def masks(self) -> SmoothMasks:
        return SmoothMasks(self.cells, self.keep, self.samples, self.seed, self.baseline)

    def samplers(self) -> Sequence[Sampler]:
        return (self.masks,)

    def emit(self, context: EmitContext) -> Emitted:
        g, totals = context.g, {}
        for name, about in context.explained.items():
            seen = g.Sub(1, self.masks.hides(g, about, context.points))
            score = g.Reshape(context.score, [-1, *[1] * (g.rank(seen) - 1)])
            totals[name] = group_total(g, g.Mul(score, seen), about)
        return Emitted(totals)

    def finish(
        self, g: GraphBuilder, totals: Mapping[str, ir.Value], explained: Mapping[str, Explained]
    ) -> Mapping[str, ir.Value]:
        return {name: over_channels(g, totals[name], about) for name, about in explained.items()}


def over_channels(g: GraphBuilder, total: ir.Value, about: Explained) -> ir.Value:
    """A number for each place in the shape of the input: every channel has that of its place."""
    return expand_examples(g, rows_along(g, g.Reshape(total, [-1, *about.one_channel]), about), about)
