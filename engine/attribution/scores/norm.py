"""The length of the vector of an example's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes
from .selection import Score, Selected

__all__ = ["Norm", "l2_norm"]

SMALLEST = 1e-30  # of a sum of squares: below it the gradient is zero, not 0/0


@dataclass(frozen=True, eq=False)
class Norm(Score):
    """The L2 norm of an example's scores: what makes an embedding, or any tensor, large.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.explain(digits, picture, target=onnxray.scores.Norm())
        >>> found.score.shape, found.target.shape
        ((1,), (1, 0))
    """

    takes: ClassVar[str] = "anything, one number for each example"

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("target", ir.DataType.INT64, ["rows"])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        return Selected(l2_norm(g, flat), g.Identity(target))

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        return np.zeros(rows, np.int64)

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        """Nothing was chosen: (N, 0)."""
        return np.zeros((len(settled), 0), np.int64)

    def typed(self, told: np.ndarray | None = None) -> str | None:
        return "norm"

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        return "norm"


def l2_norm(g: GraphBuilder, flat: ir.Value) -> ir.Value:
    """The L2 norm of each row, (rows,)."""
    return g.Sqrt(g.Max(g.ReduceSum(g.Mul(flat, flat), [1], keepdims=0), SMALLEST))
