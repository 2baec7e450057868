"""The score of a letter that a recogniser read, by the greedy decoding of connectionist temporal classification."""

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

__all__ = ["Letter"]

END = np.iinfo(np.int64).max
SHOWN = 40  # classes that an error lists


@dataclass(frozen=True, eq=False)
class Letter(Score):
    """The score of one letter of the text that a CTC recogniser reads: which strokes made this letter.

    The scores of an example are (steps, classes). The best class of each step is taken, repeated ones are one letter,
    and blanks separate letters (best path decoding, Graves et al., 2006, section 3.2). Explained is the sum of the
    letter's scores over the steps at which it was read.

    Args:
        number: The letter's place in the text, from 0, or a list of one for each example. A letter that is not there is
            an InputError, which lists the classes that were read; in a saved file its score is NaN.
        blank: The class that separates letters; negative numbers count from the end. None is 0, unless what is read
            looks as if the last class were the blank: then it must be said.

    Example:
        >>> import numpy as np, onnxray
        >>> from onnx import parser
        >>> net = parser.parse_model('<ir_version: 8, opset_import: ["": 18]>'
        ...     'net (float[N, 5, 3] x) => (float[N, 5, 3] y) { y = Identity(x) }')
        >>> x = np.eye(3, dtype=np.float32)[[[0, 2, 2, 0, 1]]]
        >>> found = onnxray.explain(net, x, target=onnxray.scores.Letter(0))
        >>> found.target.tolist(), found.score.tolist()  # letter 0 is class 2, at steps 1 to 2
        ([[0, 2, 1, 2]], [2.0])
    """

    takes: ClassVar[str] = "of each example the letter's number, the class of the blank, and -1 for each step"

    number: Any
    blank: int | None = None

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        steps, _ = steps_and_words(scores)
        return g.input("target", ir.DataType.INT64, ["rows", None if steps is None else steps + 2])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        """The target is the number, the blank, and the class of each step, -1 for the best."""
        table = step_rows(g, flat, scores)
        number, blank, said = (g.Slice(target, [a], [z], [1]) for a, z in ((0, 1), (1, 2), (2, END)))
        path = g.Where(g.Less(said, 0), g.ArgMax(table, axis=2, keepdims=0), said)
        read = _steps_of(g, path, number, blank)
        values = g.Squeeze(g.GatherElements(table, g.Unsqueeze(path, [2]), axis=2), [2])
        total = g.ReduceSum(g.Mul(values, read), [1], keepdims=0)
        there = g.Greater(g.ReduceMax(read, [1], keepdims=0), 0.0)
        return Selected(g.Where(there, total, np.nan), g.Concat(number, blank, path, axis=1))

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        steps, classes = steps_and_words(scores)
        if steps is None:
            raise InputError(f"how many steps the scores {scores.tensor!r} have is known when the model runs")
        blank = self.blank or 0
        if not isinstance(blank, int | np.integer) or not -classes <= blank < classes:
            raise InputError(f"blank {blank!r} is no class: the scores have classes 0 to {classes - 1}")
        target = np.full((rows, steps + 2), -1, np.int64)
        target[:, 0], target[:, 1] = numbers_of(self.number, rows, "letter"), blank % classes
        return target

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        """The letter's number, its class, and the first and the last step at which it was read, (N, 4)."""
        found = [_letters(row[2:], row[1])[row[0]] for row in settled]
        return np.array([(number, *letter) for number, letter in zip(settled[:, 0], found, strict=True)])

    def typed(self, told: np.ndarray | None = None) -> str | None:
        number = typed_place(self.number if told is None else told[0])
        return None if number is None else f"letter:{number}" + (f":{self.blank}" if self.blank is not None else "")

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        number, letter, first, last = told
        steps = f"step {first}" if first == last else f"steps {first} to {last}"
        return f"letter {number}, class {place_name(letter, labels)} at {steps}"

    def missing(self, settled: np.ndarray, rows: np.ndarray, scores: ScoreAxes) -> str | None:
        last = steps_and_words(scores)[1] - 1
        for row, (number, blank, *path) in zip(rows, settled.tolist(), strict=True):
            if self._is_doubtful(path, blank, last):
                return (
                    f"class {last}, the last, is the best at {path.count(last)} of {len(path)} steps of example {row}, "
                    f"class {blank} at none: say which is the blank, blank=-1 or blank={blank} (letter:0:-1 or "
                    f"letter:0:{blank} as --target)"
                )
            letters = [letter for letter, *_ in _letters(path, blank)]
            if not 0 <= number < len(letters):
                read = ", ".join(map(str, letters[:SHOWN])) + ", ..." * (len(letters) > SHOWN)
                found = f"the letters read in example {row} are of the classes {read}" if letters else ""
                found = found or f"no letter is read in example {row}"
                return f"letter {number} is not there: {found} (blank {blank})"
        return None

    def _is_doubtful(self, path: list[int], blank: int, last: int) -> bool:
        """Whether the blank was not said, is never read, and the last class is read most of the time."""
        return self.blank is None and blank not in path and 2 * path.count(last) >= len(path)


def _steps_of(g: GraphBuilder, path: ir.Value, number: ir.Value, blank: ir.Value) -> ir.Value:
    """1.0 at the steps at which the letter of a number was read, (rows, steps)."""
    before = g.Concat(g.Sub(blank, g.Add(blank, 1)), g.Slice(path, [0], [-1], [1]), axis=1)  # a class of -1 comes first
    inked = g.Not(g.Equal(path, blank))
    begins = g.And(inked, g.Not(g.Equal(path, before)))
    count = g.CumSum(g.Cast(begins, to=ir.DataType.INT64), g.constant(1, ir.DataType.INT64))
    return g.Cast(g.And(inked, g.Equal(g.Sub(count, 1), number)), to=ir.DataType.FLOAT)


def _letters(path: Any, blank: int) -> list[tuple[int, int, int]]:
    """The letters of a path: class, first and last step."""
    ends = np.flatnonzero(np.diff(path, append=-1))  # the last step of each run of one class
    starts = np.concatenate([[0], ends[:-1] + 1])
    return [(int(path[a]), int(a), int(z)) for a, z in zip(starts, ends, strict=True) if path[a] != blank]
