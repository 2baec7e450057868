"""What the samples are explained for: a kind of class that each sample settles, or a score that a user names."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..attribution.axes import score_axes
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Class, Score, score_of
from ..attribution.target_words import target_of
from ..data.labels import Labels
from ..errors import InputError
from ..graph.model import Model
from ..samples.sample import Sample

__all__ = ["LABEL", "ChosenTarget", "chosen_target"]

LABEL = "label"  # the kind of target that each sample names


@dataclass(frozen=True, eq=False)
class ChosenTarget:
    """What the samples are explained for: a kind, such as "label", or else a score; ``text`` is its name in files,
    which ``--target`` reads again if it is ``typed``."""

    text: str
    score: Score
    kind: str | None = None
    typed: bool = True

    def axes(self, model: Model, score: str) -> ScoreAxes:
        """The axes of the scores that it is one of."""
        return _axes_of(self.score, model, score)

    def of(self, sample: Sample) -> Score:
        """The score of a sample."""
        return Class(sample.required_label()) if self.kind == LABEL else self.score


def chosen_target(said: Any, kinds: Sequence[str], model: Model, score: str, labels: Labels) -> ChosenTarget:
    """The target that a user means, in Python or by a text; an InputError where it means nothing for the model."""
    if isinstance(said, ChosenTarget):
        return said
    if isinstance(said, str) and said in kinds:
        _check_classes(model, score)
        return ChosenTarget(said, Class(), said)
    wanted = score_of(_parsed(said, kinds, labels, score_axes(model, score)) if isinstance(said, str) else said)
    axes = _axes_of(wanted, model, score)
    known = axes.known and axes.count is not None
    settled = wanted.resolve(1, axes) if known else np.zeros(0)
    text = wanted.typed()
    code = zlib.crc32(settled.tobytes() if known else repr(wanted).encode())
    return ChosenTarget(text or f"{type(wanted).__name__} {code:08x}", wanted, typed=text is not None)


def _axes_of(wanted: Score, model: Model, score: str) -> ScoreAxes:
    return score_axes(wanted.prepared(model), score if wanted.tensor is None else wanted.tensor)


def _parsed(text: str, kinds: Sequence[str], labels: Labels, axes: ScoreAxes) -> Any:
    try:
        return target_of(text, labels, axes)
    except InputError as error:
        raise InputError(f"{error}; or {', '.join(kinds)}") from error


def _check_classes(model: Model, score: str) -> None:
    """An InputError where the scores of an example are no classes, of which one is the top one."""
    scores = score_axes(model, score)
    if not scores.single or scores.axis != 0:
        raise InputError(
            f"the scores {scores.tensor!r} have shape {scores.text} for one example, which axis {scores.axis} counts: "
            "there is no top class; name what is explained by target= (--target), such as box:0, token:5 or 0,5, or a "
            "tensor of one score for each class by score= (--score)"
        )
