"""What a run explained of an example, and the same thing in another model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Class, ClassBoxes, Score, Settled
from ..data.labels import Labels
from ..explainer import Answer

__all__ = ["ExplainedTarget"]


@dataclass(frozen=True, eq=False)
class ExplainedTarget:
    """A score with the target that a run settled for its only example, (1, ...), and what its results tell of it."""

    score: Score
    settled: NDArray[Any]
    told: NDArray[Any]
    axes: ScoreAxes

    @classmethod
    def of(cls, score: Score, answer: Answer) -> ExplainedTarget:
        """That of a score that a run answered."""
        known = score.score if isinstance(score, Settled) else score
        return cls(known, answer.settled, np.asarray(answer.attribution.target)[0], answer.scores)

    @property
    def place(self) -> int | None:
        """The index of a class; None where no class is explained."""
        return int(self.told) if type(self.score) is Class and self.axes.single and np.ndim(self.told) == 0 else None

    @property
    def is_class(self) -> bool:
        """Whether it is one of several classes, so that the top class of a model says something."""
        return self.place is not None and self.axes.count != 1

    @property
    def name(self) -> int | str:
        """The index of a class; of another target the text that ``--target`` reads again, or words where none does."""
        if self.place is not None:
            return self.place
        return self.score.typed(self.told) or self.words({})

    def words(self, labels: Labels) -> str:
        """What is explained, as people call it."""
        return self.score.words(self.told, labels, self.axes)

    @property
    def again(self) -> Score:
        """The score of the same element: of another input, or of the same model with other weights."""
        return Settled(self.score, self.settled)

    @property
    def elsewhere(self) -> Score:
        """The score of the same thing in another model."""
        return self.score.elsewhere(self.settled, self.told) or self.again

    @property
    def corners(self) -> NDArray[Any] | None:
        """x1, y1, x2, y2 of an explained box, in pixels of the model's input."""
        return self.score.corners_of(self.told)

    @property
    def boxes(self) -> int | None:
        """How many boxes are explained together; None where it is one, or no box."""
        return int(self.told[1]) if isinstance(self.score, ClassBoxes) else None

    @property
    def is_found(self) -> bool:
        """Whether another model has to find it, and may not."""
        return self.score.tensor is not None
