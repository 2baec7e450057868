"""Score: which number of an example is explained, as nodes behind the scores of a model.

The graph takes a *target*, which selects among the scores of an example; ``resolve`` makes it of what a user says. What
the data decide, such as the top class, is *settled* by the run at point 0, and the other points of an example take the
settled target: ``emit`` of a settled target selects the same score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...graph.builder import GraphBuilder
from ...graph.model import Model
from ..score_axes import ScoreAxes

__all__ = ["Score", "Selected"]


@dataclass(frozen=True)
class Selected:
    """The score of each row (rows,), and the target that selects it again, in the target's own type and shape."""

    value: ir.Value
    settled: ir.Value


class Score(ABC):
    """Which number of an example is explained."""

    takes: ClassVar[str] = ""  # what the input ``target`` of a saved file holds

    @property
    def kind(self) -> object:
        """Two scores of one kind have the same graph."""
        return type(self)

    @property
    def tensor(self) -> str | None:
        """The tensor that ``prepared`` adds and the score reads; None for the model's scores."""
        return None

    def prepared(self, model: Model) -> Model:
        """The model with the tensor that the score reads."""
        return model

    def refusal(self, model: Model) -> str | None:
        """Why a method that looks at several points cannot explain the score, if it cannot."""
        return None

    @abstractmethod
    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        """The graph's input that selects, of any type, (rows, ...)."""

    @abstractmethod
    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        """The selected one of the scores (rows, count)."""

    @abstractmethod
    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        """The target of what the user said, for so many examples; an InputError where it names no score."""

    def missing(self, settled: np.ndarray, rows: np.ndarray, scores: ScoreAxes) -> str | None:
        """Why there is nothing that is as the user said in one of these examples, whose targets are settled."""
        return None

    def remark(self, settled: np.ndarray) -> str | None:
        """What a user should know of these settled targets; said of what the user named, not of runs beside it."""
        return None

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        """The settled target as results name it."""
        return settled

    def label_of(self, told: np.ndarray) -> int | None:
        """The class that is explained, of what ``told`` says of one example; None where it is no single class."""
        return int(told) if np.ndim(told) == 0 and np.asarray(told).dtype.kind in "iu" else None

    def mask_of(self, example: int) -> np.ndarray | None:
        """The mask (height, width) under which the score of an example is summed; None for other scores."""
        return None

    def corners_of(self, told: np.ndarray) -> np.ndarray | None:
        """x1, y1, x2, y2 of the explained box in pixels of the model's input, likewise; None where it is none."""
        return None

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        """What is explained, as people call it: of what ``told`` says of one example."""
        return f"target {','.join(map(str, np.ravel(told).tolist()))}"

    def explained(self, told: np.ndarray, scores: ScoreAxes) -> tuple[str, ...]:
        """What an attribution says of each example; nothing where ``told`` says it, as of classes."""
        return tuple(self.words(one, {}, scores) for one in told)

    def typed(self, told: np.ndarray | None = None) -> str | None:
        """The text of ``--target`` that means this score, and with ``told`` what a run settled of it for one example;
        None where no text does."""
        return None

    def elsewhere(self, settled: np.ndarray, told: np.ndarray) -> Score | None:
        """The score of the same thing in another model, of what a run of this one settled for its only example; None
        where the settled target means it there, too."""
        return None

    def length(self, g: GraphBuilder, target: ir.Value) -> ir.Value | float:
        """The length of the gradient of the score with respect to the scores: 1 for one of them."""
        return 1.0
