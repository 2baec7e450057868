"""Feature ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted
from .baseline import Baseline, check_baseline
from .blurred import baseline_value
from .coalitions import GroupMethod, first_point, group_total
from .explained import Explained
from .group_nodes import groups_value, mix, rows_along
from .groups import Grouping
from .option_help import BASELINE
from .samplers import Sampler

__all__ = ["FeatureAblation", "OneGroup", "falls_of_groups", "hidden_elements", "one_group_points"]


@dataclass(frozen=True)
class OneGroup(Sampler):
    """Each group of the input replaced by the baseline, one point each; a point is the number of its group."""

    grouping: Grouping
    baseline: Baseline

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        check_baseline(self.baseline, explained)
        return one_group_points(self.grouping.counts(explained))

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        kept = g.Cast(g.Not(hidden_elements(g, self.grouping, x, about, points)), to=ir.DataType.FLOAT)
        return mix(g, x, rows_along(g, kept, about), baseline_value(g, x, self.baseline, about))


def one_group_points(counts: Mapping[str, int]) -> dict[str, np.ndarray]:
    """A point for each group, whose number it is; -1 hides nothing: at point 0, and while another input's are hidden.

    ``counts`` are the groups of each input.
    """
    parts, start = {}, 1
    for name, count in counts.items():
        parts[f"hidden/{name}"] = np.full((1 + sum(counts.values()), 1), -1, np.float32)
        parts[f"hidden/{name}"][start : start + count, 0] = np.arange(count)
        start += count
    return parts | first_point(start)


def hidden_elements(
    g: GraphBuilder, grouping: Grouping, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]
) -> ir.Value:
    """Whether a point hides each element: (rows, *example), or with sizes of 1 where a group has all."""
    number = g.Cast(points[f"hidden/{about.name}"], to=ir.DataType.INT64)
    return g.Equal(g.Reshape(number, [-1, *[1] * len(about.shape)]), groups_value(g, grouping, x, about))


def falls_of_groups(context: EmitContext, grouping: Grouping) -> dict[str, ir.Value]:
    """The fall of the score at a point as that of the group that it hides, by input."""
    g, fall = context.g, context.g.Unsqueeze(context.g.Sub(context.reference, context.score), [1])
    falls = {}
    for name, about in context.explained.items():
        numbers = g.constant(np.arange(grouping.count(about))[None], ir.DataType.FLOAT)
        own = g.Cast(g.Equal(context.points[f"hidden/{name}"], numbers), to=ir.DataType.FLOAT)
        falls[name] = group_total(g, g.Mul(own, fall), about)
    return falls


@dataclass(frozen=True)
class FeatureAblation(GroupMethod):
    """Fall of the score as a baseline replaces a group of elements (Kokhlikyan et al., 2020, arXiv:2009.07896).

    ``groups``: "grid" of ``cells`` along each axis, "pixels" (each place, token or column), "superpixels", or an array
    of integers that numbers the groups. Of several inputs each is hidden in turn, while the others stay.
    """

    name: ClassVar[str] = "feature-ablation"
    baseline: Baseline = field(default=0.0, metadata=BASELINE)

    def samplers(self) -> Sequence[Sampler]:
        return (OneGroup(self.grouping, self.baseline),)

    def emit(self, context: EmitContext) -> Emitted:
        return Emitted(falls_of_groups(context, self.grouping) | self.groups_at_first(context))
