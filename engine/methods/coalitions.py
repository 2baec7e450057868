"""Coalitions: the points at which some groups of the input stay, while a baseline takes the place of the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted, Method, Reduction
from .baseline import Baseline, check_baseline
from .blurred import baseline_value
from .explained import Explained
from .group_nodes import expand_examples, groups_value, input_name, mix, spread
from .groups import LIMIT, Cells, Grouping, Groups
from .option_help import BASELINE, CELLS, GROUPS
from .samplers import FIRST, Sampler

__all__ = ["CoalitionMethod", "Coalitions", "Design", "GroupMethod", "first_point", "group_total"]

Design = tuple[np.ndarray, np.ndarray]  # coalitions (points, groups) of 0 and 1, and what each score counts, likewise


@dataclass(frozen=True)
class Coalitions(Sampler):
    """Coalitions that are known before the run, and the coefficient of their score in the attribution of each group.

    The groups of all inputs are players of one game. ``design`` makes coalitions and coefficients for so many groups;
    the coalition of all, point 0, needs none, as coefficients of a group sum to 0.
    """

    grouping: Grouping
    baseline: Baseline
    design: Callable[[int], Design]

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        check_baseline(self.baseline, explained)
        counts = self.grouping.counts(explained)
        kept, credit = self.design(sum(counts.values()))
        parts, start = {}, 0
        for name, count in counts.items():
            own = slice(start, start := start + count)
            parts[f"kept/{name}"] = np.concatenate([np.ones((1, count)), kept[:, own]]).astype(np.float32)
            parts[f"credit/{name}"] = np.concatenate([np.zeros((1, count)), credit[:, own]]).astype(np.float32)
        return parts | first_point(1 + len(kept))

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        kept = spread(g, points[f"kept/{about.name}"], groups_value(g, self.grouping, x, about), about)
        return mix(g, x, kept, baseline_value(g, x, self.baseline, about))


@dataclass(frozen=True)
class GroupMethod(Method):
    """Base of the methods that give one attribution to each group of an input, and each of its elements has it."""

    reduction: ClassVar[Reduction] = "mean"
    differentiates: ClassVar[bool] = False
    blank: ClassVar[str] = "hiding a group never changes the score; choose other groups= or another baseline="
    groups: Groups = field(default=None, metadata=GROUPS)
    cells: Cells = field(default=8, metadata=CELLS)

    def __post_init__(self) -> None:
        Grouping(self.groups, self.cells)

    @property
    def grouping(self) -> Grouping:
        return Grouping(self.groups, self.cells)

    def finish(
        self, g: GraphBuilder, totals: Mapping[str, ir.Value], explained: Mapping[str, Explained]
    ) -> Mapping[str, ir.Value]:
        return {name: self._spread(g, totals, about) for name, about in explained.items()}

    def _spread(self, g: GraphBuilder, totals: Mapping[str, ir.Value], about: Explained) -> ir.Value:
        """The attribution of an input from those of its groups."""
        grouping, groups = self.grouping, totals.get(f"{about.name}/groups")
        if groups is None:
            groups = groups_value(g, grouping, totals[about.name], about)
        else:
            groups = g.Reshape(g.Cast(groups, to=ir.DataType.INT64), [-1, *about.one_channel])
        whole = g.Reshape(totals[about.name], [-1, grouping.count(about)])
        return expand_examples(g, spread(g, whole, groups, about), about)

    def example_inputs(
        self, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
    ) -> dict[str, np.ndarray]:
        own = {name: about for name, about in explained.items() if self.grouping.by_example(about)}
        groups = {input_name(about): self.grouping.of_examples(arrays[name], about) for name, about in own.items()}
        return {**super().example_inputs(arrays, explained), **groups}

    def groups_at_first(self, context: EmitContext) -> dict[str, ir.Value]:
        """The groups of each example as totals to which point 0 alone adds, so that ``finish`` knows them."""
        g, found = context.g, {}
        for name, about in context.explained.items():
            if self.grouping.by_example(about):
                groups = g.Cast(groups_value(g, self.grouping, context.inputs[name], about), to=ir.DataType.FLOAT)
                first = g.Reshape(context.points[FIRST], [-1, *[1] * len(about.shape)])
                found[f"{name}/groups"] = group_total(g, g.Mul(first, groups), about)
        return found


@dataclass(frozen=True)
class CoalitionMethod(GroupMethod):
    """Base of the methods whose attributions are sums of scores of coalitions, each times a known coefficient."""

    baseline: Baseline = field(default=0.0, metadata=BASELINE)

    @abstractmethod
    def design(self, groups: int) -> Design:
        """Coalitions of so many groups but that of all, and the coefficients of their scores."""

    def samplers(self) -> Sequence[Sampler]:
        return (Coalitions(self.grouping, self.baseline, self.design),)

    def emit(self, context: EmitContext) -> Emitted:
        g = context.g
        change = g.Unsqueeze(g.Sub(context.score, context.reference), [1])
        return Emitted(
            {name: group_total(g, g.Mul(context.points[f"credit/{name}"], change), about)
             for name, about in context.explained.items()} | self.groups_at_first(context)
        )  # fmt: skip

    def refuse_many(self, points: int, groups: int) -> None:
        """An InputError where a matrix of so many points, or groups, by groups would not fit into memory."""
        if max(points, groups) * groups > LIMIT:
            raise InputError(
                f"{self.name} of {groups} groups at {points} points is too much; give fewer groups by groups= or cells="
            )


def first_point(count: int) -> dict[str, np.ndarray]:
    """An array of points that is 1 at the first and 0 at the others."""
    return {FIRST: np.eye(count, 1, dtype=np.float32)[:, 0]}


def group_total(g: GraphBuilder, credit: ir.Value, about: Explained) -> ir.Value:
    """What a row gives to each group, (rows, groups), with its rows on the axis that counts examples of the input."""
    return g.Unsqueeze(credit, list(range(about.batch))) if about.batch else credit
