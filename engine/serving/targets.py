"""What a request says for ``target``, as a score of its rows; nothing of it names a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Class, Score, Settled, score_of
from ..attribution.target_text import names_class
from ..attribution.target_words import target_of
from ..errors import InputError
from .served_model import ServedModel

__all__ = ["Wanted", "wanted"]

FILES = ("mask",)  # words of targets that would read a file of the server
LONGEST = 300  # letters: a hyphen may part two labels, and each of many is tried


@dataclass(frozen=True, eq=False)
class Wanted:
    """The score of some rows, and the places that it selects, where these are known before the model runs."""

    score: Score
    places: np.ndarray | None

    @property
    def asked(self) -> Score:
        """The score that an explainer is given."""
        return self.score if self.places is None else Settled(self.score, self.places)


def wanted(model: ServedModel, said: Any, rows: int) -> Wanted:
    """The target of a request for its rows: one for all of them, or a list of one for each.

    Raises InputError for what names no score, before anything runs.
    """
    if isinstance(said, list):
        if len(said) != rows:
            raise InputError(f"{len(said)} targets for {rows} instances; give one for each, or one for all")
        score = _of_each(model, said)
    else:
        score = score_of(_parsed(model, said))
    if not model.joins or score.tensor is not None:
        return Wanted(score, None)
    return Wanted(score, score.resolve(rows, model.scores))


def _of_each(model: ServedModel, said: Sequence[Any]) -> Score:
    found = [_parsed(model, one) for one in said]
    if any(isinstance(one, Score) for one in found):
        raise InputError("a list of targets takes classes alone; send the others in requests of their own")
    return _Classes(found) if "top1" in found else Class(found)


@dataclass(frozen=True, eq=False)
class _Classes(Class):
    """Classes of examples, of some of which the top one."""

    @property
    def kind(self) -> object:
        return Class

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        if not scores.single:
            raise scores.refuse("top1")
        top = np.array([one == "top1" for one in self.said])
        return np.where(top, -1, Class([0 if one == "top1" else one for one in self.said]).resolve(rows, scores))


def _parsed(model: ServedModel, said: Any) -> Any:
    if isinstance(said, bool) or not isinstance(said, int | str):
        raise InputError('a target is a number or a text, such as 6, "top1", a label or "6-8"; or a list of these')
    text = str(said)
    if len(text) > LONGEST:
        raise InputError(f"a target has {len(text)} letters; at most {LONGEST} are taken")
    if text.partition(":")[0] in FILES and not names_class(text, model.labels):
        raise InputError("a target in a request names no file, so masks are not taken here")
    return target_of(text, model.labels, model.scores)
