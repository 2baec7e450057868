"""Whether two models can be compared at all: inputs of one shape, scores of the same classes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..attribution.score import score_tensor
from ..attribution.scores import Score
from ..errors import InputError
from ..graph.model import Model

__all__ = ["check_compatible"]


def check_compatible(reference: Model, candidate: Model, score: str = "logit", target: Score | None = None) -> None:
    """Whether two models take the same inputs and give as many scores, or boxes of as many classes; else an InputError
    of one line."""
    a, b = ([_dims(value) for value in model.inputs] for model in (reference, candidate))
    if len(a) != len(b) or not all(map(_alike, a, b)):
        raise InputError(f"the models take different inputs: {_text(a)} and {_text(b)}; compare models of one input")
    m, n = (_scores(model, score, target) for model in (reference, candidate))
    if not _alike(m, n):
        raise InputError(
            f"the models give different scores: {_text([m])} and {_text([n])}; compare models of the same classes"
        )


def _scores(model: Model, score: str, target: Score | None) -> list[int | None] | None:
    """The sizes of the scores; of a detector's boxes, which may be others in each model, the numbers of each."""
    if target is None or target.tensor is None:
        return _dims(score_tensor(model, score))
    sizes = _dims(target.prepared(model).value(target.tensor))
    return None if sizes is None else sizes[-1:]


def _dims(value: ir.Value) -> list[int | None] | None:
    """The sizes of one example; None where they are open."""
    return None if value.shape is None else [d if isinstance(d, int) else None for d in list(value.shape)[1:]]


def _alike(a: list[int | None] | None, b: list[int | None] | None) -> bool:
    if a is None or b is None:
        return True
    return len(a) == len(b) and all(m == n or None in (m, n) for m, n in zip(a, b, strict=True))


def _text(shapes: Sequence[list[int | None] | None]) -> str:
    return ", ".join("(?)" if s is None else f"({', '.join('?' if d is None else str(d) for d in s)})" for s in shapes)
