"""The sessions that run a model forward: to all of its scores, or to the explained score of a settled target."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass

from ..attribution.axes import score_axes
from ..attribution.heads import logits
from ..attribution.memory import bytes_per_row
from ..attribution.score import flat_scores, open_scores, row_scores, score_tensor
from ..data.batch import Batch
from ..graph.builder import GraphBuilder
from ..graph.model import Model
from ..runtime import Session, SessionSettings, open_model
from .explained_target import ExplainedTarget

__all__ = ["ForwardPasses", "ScoreSession"]


@dataclass(frozen=True, eq=False)
class ForwardPasses:
    """The sessions that run a model forward, each opened once: with its scores, and up to the score of each kind of
    target. ``tensor`` names the scores as ``score=`` does."""

    model: Model
    tensor: str
    settings: SessionSettings
    of_kinds: dict[object, ScoreSession] = field(default_factory=dict)

    @cached_property
    def plain(self) -> tuple[Session, str]:
        """The model as it is, and the name of its scores."""
        y = score_tensor(self.model, self.tensor)
        return open_scores(self.model, y, self.settings)

    def of(self, target: ExplainedTarget) -> ScoreSession:
        """The model up to the score of a target's kind."""
        key = target.score.kind, target.axes
        if key not in self.of_kinds:
            program, name, score = _up_to_score(self.model, self.tensor, target)
            session = open_model(program, self.settings)
            self.of_kinds[key] = ScoreSession(session, name, score)
        return self.of_kinds[key]

    @cached_property
    def axis(self) -> int | None:
        """The axis of the scores that counts examples."""
        return score_axes(self.model, self.tensor).axis

    @cached_property
    def row_bytes(self) -> int:
        """The most memory that a run of the model takes for one row, in bytes."""
        return bytes_per_row(self.model)

    @property
    def count(self) -> int:
        """How many sessions are open."""
        return ("plain" in vars(self)) + len(self.of_kinds)


@dataclass(frozen=True, eq=False)
class ScoreSession:
    """A session, the input that takes the settled target, and the output with the score."""

    session: Session
    target: str
    score: str

    def __call__(self, batch: Batch, explained: ExplainedTarget) -> NDArray[np.float64]:
        """The score of each example of a batch, which fits one run."""
        rows = batch.fill(np.arange(batch.examples))
        feeds = batch.take(rows) | {self.target: np.repeat(explained.settled, len(rows), axis=0)}
        return self.session.run(feeds, [self.score])[self.score][: batch.examples].astype(np.float64)


def _up_to_score(model: Model, tensor: str, explained: ExplainedTarget) -> tuple[Model, str, str]:
    """A model that ends in the score of a target's kind, and the names of that target and that score."""
    score, axes = explained.score, explained.axes
    program = score.prepared(model).copy()
    g = GraphBuilder(program.graph, prefix="gate")
    y = row_scores(program, tensor if score.tensor is None else score.tensor)
    head = logits(g, y) if tensor == "logit" and score.tensor is None else y
    target = score.target(g, axes)
    selected = score.emit(g, flat_scores(g, head, axes), target, axes)
    del program.graph.outputs[:]
    output = str(g.output(selected.value, "score").name)
    TopologicalSortPass()(program.program)
    RemoveUnusedNodesPass()(program.program)
    return program, str(target.name), output
