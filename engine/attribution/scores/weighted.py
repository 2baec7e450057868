"""A sum of all scores of an example, weighted by a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from ...data.arrays import as_array
from ...data.labels import Labels
from ...errors import InputError
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes
from .norm import l2_norm
from .selection import Score, Selected

__all__ = ["Weighted"]


@dataclass(frozen=True, eq=False)
class Weighted(Score):
    """The sum of an example's scores, weighted.

    Args:
        weights: Floats in the shape of the scores, ``(N, ...)``: the seed of the gradient.
    """

    takes: ClassVar[str] = "the weight of each score"

    weights: Any

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("seed", ir.DataType.FLOAT, ["rows", *scores.shape])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        return Selected(g.ReduceSum(g.Mul(flat, g.Reshape(target, [0, -1])), [1], keepdims=0), g.Identity(target))

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        return _seed(as_array(self.weights, "the target"), rows, scores)

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        return "the weighted scores"

    def length(self, g: GraphBuilder, target: ir.Value) -> ir.Value | float:
        return l2_norm(g, g.Reshape(target, [0, -1]))


def _seed(array: np.ndarray, rows: int, scores: ScoreAxes) -> np.ndarray:
    """A seed in the layout of the scores, with its examples first."""
    wanted = scores.laid_out(rows)
    if array.ndim != len(wanted) or any(n not in (None, m) for n, m in zip(wanted, array.shape, strict=True)):
        raise InputError(f"a target array is a seed of the scores' shape {wanted}, not {array.shape}")
    if not np.isfinite(array).all():
        raise InputError("the target array, a seed, holds NaN or infinity")
    array = array.astype(np.float32)
    return array[None] if len(wanted) == len(scores.shape) else np.moveaxis(array, scores.axis or 0, 0)
