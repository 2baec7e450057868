"""The negative of one score: what speaks against a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes
from .class_score import Class
from .places import place_name
from .selection import Score, Selected

__all__ = ["Not"]


@dataclass(frozen=True, eq=False)
class Not(Class):
    """The negative of one score of each example: why not this class.

    The counterfactual explanation of Grad-CAM (Selvaraju et al., 2017, arXiv:1610.02391, section 3.3), of any method.

    Args:
        said: The class as ``Class`` takes it: "top1", an index, a tuple of indices, or a list of one for each example.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.explain(digits, picture, target=onnxray.scores.Not(8))
        >>> found.target.tolist(), bool(found.score == -onnxray.explain(digits, picture, target=8).score)
        ([8], True)
    """

    takes: ClassVar[str] = "the class of each example that is argued against, -1 for the top one"

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        found = super().emit(g, flat, target, scores)
        return Selected(g.Neg(found.value), found.settled)

    def typed(self, told: np.ndarray | None = None) -> str | None:
        place = super().typed(told)
        return None if place is None else f"not:{place}"

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        return f"not {place_name(told, labels)}"

    def explained(self, told: np.ndarray, scores: ScoreAxes) -> tuple[str, ...]:
        return Score.explained(self, told, scores)
