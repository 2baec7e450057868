"""The totals of a row: what its point counts, its part of the gap of completeness, and their names as outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..methods.base import Emitted, Method
from ..methods.explained import Explained, broadcast_rows
from ..methods.samplers import ENDS, WEIGHT

__all__ = ["about_total", "gap_of_completeness", "name_totals", "totals_of"]


def about_total(explained: Mapping[str, Explained], name: str) -> Explained:
    """The input that a total is of: that of its name, or of "input/what", which counts examples as its input does."""
    return explained[name] if name in explained else explained[name.rpartition("/")[0]]


def totals_of(
    g: GraphBuilder,
    method: Method,
    emitted: Emitted,
    points: Mapping[str, ir.Value],
    explained: Mapping[str, Explained],
) -> dict[str, ir.Value]:
    """The totals of a row, times the weight of its point; of a single point they are finished at once."""
    if not points:
        return dict(method.finish(g, emitted.totals, explained))
    return {
        name: _counted(g, total, points, about_total(explained, name), method.layer_sized)
        for name, total in emitted.totals.items()
    }


def _counted(
    g: GraphBuilder,
    total: ir.Value,
    points: Mapping[str, ir.Value],
    about: Explained,
    cam: bool,
) -> ir.Value:
    """A total of a row, times the weight of its point; of a point that counts nothing zero, even where it is NaN, as a
    gradient is that starts at a baseline where a square root is zero."""
    if WEIGHT not in points:
        return total
    rows = g.CastLike(points[WEIGHT], total)
    weight = broadcast_rows(g, rows, total, replace(about, batch=0) if cam else about)
    return g.Where(g.Equal(weight, 0), 0, g.Mul(weight, total))


def gap_of_completeness(
    g: GraphBuilder,
    totals: Mapping[str, ir.Value],
    points: Mapping[str, ir.Value],
    score: ir.Value,
    explained: Mapping[str, Explained],
    change: ir.Value | None = None,
) -> dict[str, ir.Value]:
    """The part of a row in ``delta``: its contributions less its part of f(x) - f(baseline), (rows,).

    Nothing where the points have no such ends, and the method gives no ``change`` of a single point.
    """
    if ENDS in points:
        change = g.Mul(points[ENDS], score)
    if change is None:
        return {}
    parts = []
    for name, about in explained.items():
        total = g.as_float32(totals[name])
        axes = [axis for axis in range(g.rank(total)) if axis != about.batch]
        parts.append(g.Reshape(g.ReduceSum(total, axes, keepdims=0) if axes else total, [-1]))
    return {"delta": g.Sub(g.Add(*parts) if len(parts) > 1 else parts[0], change)}


def name_totals(g: GraphBuilder, totals: Mapping[str, ir.Value], explained: Mapping[str, Explained]) -> dict[str, str]:
    """The totals as outputs: a single attribution is called attribution, several carry the names of their inputs."""
    alone = sum(name in explained for name in totals) == 1
    names = {name: "attribution" if alone and name in explained else f"attribution_{name}" for name in totals}
    return {name: str(g.output(g.as_float32(total), names[name]).name) for name, total in totals.items()}
