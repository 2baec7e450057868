"""The score of a word at a step of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...errors import InputError
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes
from .places import numbers_of, place_name, typed_place
from .selection import Score, Selected
from .steps import step_rows, steps_and_words

__all__ = ["Token"]


@dataclass(frozen=True, eq=False)
class Token(Score):
    """The score of one word at one step, where the scores of an example are (steps, words).

    So are those of language models, of token classifiers and of recognisers that read a picture step by step; the axis
    that counts examples may be any, as in (steps, N, words).

    Args:
        position: The step, or a list of one for each example; negative numbers count from the end.
        word: The index of a word, a list of one for each example, or "top1", the word with the largest score there.

    Example:
        >>> import numpy as np, onnxray
        >>> from onnx import parser
        >>> net = parser.parse_model('<ir_version: 8, opset_import: ["": 18]>'
        ...     'net (float[N, 3, 4] x) => (float[N, 3, 4] y) { y = Mul(x, x) }')
        >>> x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
        >>> found = onnxray.explain(net, x, target=onnxray.scores.Token(-1))
        >>> found.target.tolist(), found.score.tolist()
        ([[2, 3]], [121.0])
    """

    takes: ClassVar[str] = "position and word of each example, -1 for the top word"

    position: Any
    word: Any = "top1"

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("target", ir.DataType.INT64, ["rows", 2])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        place, said = g.Split(target, [1, 1], axis=1, outputs=2)
        words = g.GatherND(step_rows(g, flat, scores), place, batch_dims=1)
        word = g.Where(g.Less(said, 0), g.ArgMax(words, axis=1, keepdims=1), said)
        return Selected(g.Squeeze(g.GatherElements(words, word, axis=1), [1]), g.Concat(place, word, axis=1))

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        steps, words = steps_and_words(scores)
        place = numbers_of(self.position, rows, "position")
        if steps is not None and (wrong := place[(place < -steps) | (place >= steps)]).size:
            raise InputError(f"position {wrong[0]} is out of range: the scores have steps 0 to {steps - 1}")
        word = numbers_of(self.word, rows, "word", words)
        return np.stack([place % steps if steps is not None else place, word], axis=1)

    def typed(self, told: np.ndarray | None = None) -> str | None:
        place, word = (typed_place(said) for said in ((self.position, self.word) if told is None else told))
        return None if place is None or word is None else f"token:{place}" + f":{word}" * (word != "top1")

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        return f"token {told[0]}, word {place_name(told[1], labels)}"
