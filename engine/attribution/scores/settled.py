"""A score of which an earlier run has settled the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...graph.builder import GraphBuilder
from ...graph.model import Model
from ..score_axes import ScoreAxes
from .selection import Score, Selected

__all__ = ["Settled"]


@dataclass(frozen=True, eq=False)
class Settled(Score):
    """A score whose target an earlier run has settled: ``resolve`` gives that target."""

    score: Score
    settled: np.ndarray

    @property
    def kind(self) -> object:
        return self.score.kind

    @property
    def tensor(self) -> str | None:
        return self.score.tensor

    def prepared(self, model: Model) -> Model:
        return self.score.prepared(model)

    def refusal(self, model: Model) -> str | None:
        return self.score.refusal(model)

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        return self.score.told(settled, scores)

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        return self.score.words(told, labels, scores)

    def explained(self, told: np.ndarray, scores: ScoreAxes) -> tuple[str, ...]:
        return self.score.explained(told, scores)

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return self.score.target(g, scores)

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        return self.score.emit(g, flat, target, scores)

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        return self.settled

    def length(self, g: GraphBuilder, target: ir.Value) -> ir.Value | float:
        return self.score.length(g, target)
