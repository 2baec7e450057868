"""One of the scores: the top class, a class, or an element of scores of several axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes
from .places import place_name, places_of, typed_place
from .selection import Score, Selected

__all__ = ["Class", "select"]


@dataclass(frozen=True, eq=False)
class Class(Score):
    """One score of each example.

    Args:
        said: "top1", an index, or a tuple of indices where the scores of an example have several axes; or a list of one
            for each example.
    """

    takes: ClassVar[str] = (
        "the class of each example, -1 for the top one; of scores of several axes the place in C order"
    )

    said: Any = "top1"

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("target", ir.DataType.INT64, ["rows"])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        return select(g, flat, target, scores)

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        return places_of(self.said, rows, scores)

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        return scores.named(settled)

    def typed(self, told: np.ndarray | None = None) -> str | None:
        return typed_place(self.said if told is None else told)

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        name = place_name(told, labels)
        if name != place_name(told, {}):
            return name
        if scores.known and scores.count == 1:
            return "the only score"
        return f"target {name}" if np.ndim(told) else f"class {name}"

    def explained(self, told: np.ndarray, scores: ScoreAxes) -> tuple[str, ...]:
        return ()


def select(g: GraphBuilder, flat: ir.Value, places: ir.Value, scores: ScoreAxes) -> Selected:
    """The score of each row at its place, (rows,).

    A place of -1 is that of the largest where scores are those of classes; elsewhere it is out of range.
    """
    instead = g.ArgMax(flat, axis=1, keepdims=0) if scores.single else g.Shape(flat, start=1, end=2)
    settled = g.Where(g.Less(places, 0), instead, places)
    return Selected(g.Squeeze(g.GatherElements(flat, g.Unsqueeze(settled, [1]), axis=1), [1]), settled)
