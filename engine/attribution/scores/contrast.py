"""The difference of two scores: why this class and not that one."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes
from .class_score import select
from .places import place_name, places_of, typed_place
from .selection import Score, Selected

__all__ = ["Contrast"]


@dataclass(frozen=True, eq=False)
class Contrast(Score):
    """One score of each example less another: why this class and not that one.

    Args:
        this: "top1", an index, a tuple of indices, or a list of one for each example.
        that: The same, of the score that is subtracted.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.explain(digits, picture, target=onnxray.scores.Contrast(6, 8))
        >>> found.target.tolist()
        [[6, 8]]
    """

    takes: ClassVar[str] = "two classes of each example, the first against the second; -1 for the top one"

    this: Any
    that: Any

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("target", ir.DataType.INT64, ["rows", 2])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        sides = [select(g, flat, g.Gather(target, g.constant(k, ir.DataType.INT64), axis=1), scores) for k in (0, 1)]
        settled = g.Concat(*(g.Unsqueeze(side.settled, [1]) for side in sides), axis=1)
        return Selected(g.Sub(sides[0].value, sides[1].value), settled)

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        return np.stack([places_of(said, rows, scores) for said in (self.this, self.that)], axis=1)

    def remark(self, settled: np.ndarray) -> str | None:
        same = np.flatnonzero(settled[:, 0] == settled[:, 1])
        named = ", ".join(map(str, same))
        return f"the contrast of a score with itself is zero, that of example {named}" if same.size else None

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        return np.stack([scores.named(settled[:, k]) for k in (0, 1)], axis=1)

    def typed(self, told: np.ndarray | None = None) -> str | None:
        sides = [typed_place(said) for said in ((self.this, self.that) if told is None else told)]
        return None if None in sides else "-".join(map(str, sides))

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        return f"{place_name(told[0], labels)} against {place_name(told[1], labels)}"

    def length(self, g: GraphBuilder, target: ir.Value) -> ir.Value | float:
        return sqrt(2)
