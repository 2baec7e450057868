"""The forward pass of a model that ends in an explained score: of many inputs, for a target that is settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass

from ..attribution.heads import logits
from ..attribution.score import flat_scores, row_scores
from ..data.batch import Batch
from ..graph.builder import GraphBuilder
from ..graph.model import Model
from ..runtime import Provider, Session, open_model
from .explained_target import ExplainedTarget

__all__ = ["ScoreSession", "open_score_session"]


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


def open_score_session(
    model: Model,
    tensor: str,
    explained: ExplainedTarget,
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
) -> ScoreSession:
    """Opens a model with the score of a target's kind; ``tensor`` names its scores as ``score=`` does."""
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
    return ScoreSession(open_model(program, providers, threads), str(target.name), output)
