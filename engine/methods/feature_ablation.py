"""Feature ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted
from .baseline import Baseline, baseline_array, check_baseline
from .coalitions import GroupMethod, first_point, group_total
from .explained import Explained
from .group_nodes import groups_value, mix, rows_along
from .groups import Grouping
from .samplers import Sampler

__all__ = ["FeatureAblation", "OneGroup"]


@dataclass(frozen=True)
class OneGroup(Sampler):
    """Each group of the input replaced by the baseline, one point each; a point is the number of its group."""

    grouping: Grouping
    baseline: Baseline

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        """-1 hides nothing: at point 0, and in an input while the groups of another are hidden."""
        check_baseline(self.baseline, explained)
        counts = self.grouping.counts(explained)
        parts, start = {}, 1
        for name, count in counts.items():
            parts[f"hidden/{name}"] = np.full((1 + sum(counts.values()), 1), -1, np.float32)
            parts[f"hidden/{name}"][start : start + count, 0] = np.arange(count)
            start += count
        return parts | first_point(start)

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        groups = groups_value(g, self.grouping, x, about)
        number = g.Reshape(g.Cast(points[f"hidden/{about.name}"], to=ir.DataType.INT64), [-1, *[1] * len(about.shape)])
        kept = g.Cast(g.Not(g.Equal(number, groups)), to=ir.DataType.FLOAT)
        return mix(g, x, rows_along(g, kept, about), baseline_array(self.baseline, about))


@dataclass(frozen=True)
class FeatureAblation(GroupMethod):
    """Fall of the score as a baseline replaces a group of elements (Kokhlikyan et al., 2020, arXiv:2009.07896).

    ``groups``: "grid" of ``cells`` along each axis, "pixels" (each place, token or column), "superpixels", or an array
    of integers that numbers the groups. Of several inputs each is hidden in turn, while the others stay.
    """

    name: ClassVar[str] = "feature-ablation"

    def samplers(self) -> Sequence[Sampler]:
        return (OneGroup(self.grouping, self.baseline),)

    def emit(self, context: EmitContext) -> Emitted:
        g, fall = context.g, context.g.Unsqueeze(context.g.Sub(context.reference, context.score), [1])
        falls = {}
        for name, about in context.explained.items():
            numbers = g.constant(np.arange(self.grouping.count(about))[None], ir.DataType.FLOAT)
            own = g.Cast(g.Equal(context.points[f"hidden/{name}"], numbers), to=ir.DataType.FLOAT)
            falls[name] = group_total(g, g.Mul(own, fall), about)
        return Emitted(falls | self.groups_at_first(context))
