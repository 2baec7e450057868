"""Scores of steps: a distribution over words for each of a sequence, as language models and CTC recognisers give."""

from __future__ import annotations

import onnx_ir as ir

from ...errors import InputError
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes

__all__ = ["step_rows", "steps_and_words"]


def steps_and_words(scores: ScoreAxes) -> tuple[int | None, int]:
    """How many steps an example has, None where a run tells, and words each; an InputError for scores of no steps."""
    sizes = list(scores.shape)
    while len(sizes) > 2 and 1 in sizes:
        sizes.remove(1)
    if len(sizes) != 2:
        raise InputError(
            f"the scores {scores.tensor!r}, whose shape for one example is {scores.text}, are not those of a sequence, "
            "(steps, words); name a tensor that is by score="
        )
    if sizes[1] is None:
        raise InputError(
            f"how many words the scores {scores.tensor!r} of shape {scores.text} have is known when the model runs"
        )
    return sizes[0], sizes[1]


def step_rows(g: GraphBuilder, flat: ir.Value, scores: ScoreAxes) -> ir.Value:
    """The scores as (rows, steps, words)."""
    return g.Reshape(flat, [0, -1, steps_and_words(scores)[1]])
