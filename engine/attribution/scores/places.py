"""From what a user says of a score to its place among all scores of an example."""

from __future__ import annotations

import numpy as np

from ...data.arrays import as_array
from ...data.labels import Labels
from ...errors import InputError
from ..score_axes import ScoreAxes

__all__ = ["numbers_of", "place_name", "places_of", "typed_place"]


def places_of(target: object, rows: int, scores: ScoreAxes) -> np.ndarray:
    """Places, int64 (rows,), of "top1" (-1), an index, one per example, a tuple, or one per example.

    A single index and "top1" name a score only where the scores of an example have one axis; else they are an
    InputError, which says the shape of the scores.
    """
    if isinstance(target, str):
        return _top(target, rows, scores)
    array = as_array(target, f"target {target!r}")
    if array.dtype.kind not in "iu":
        raise InputError(f"target of type {array.dtype}: {scores.naming}")
    if isinstance(target, tuple) and array.ndim == 1:
        return np.full(rows, scores.flat(array.tolist()))
    if array.ndim == 2:
        return _each(np.array([scores.flat(index) for index in array.tolist()]), rows, scores)
    if array.ndim > 1:
        raise InputError(f"target of {array.ndim} axes, {array.shape}: {scores.naming}; or one target for each example")
    return _each(_classes(array, scores), rows, scores)


def _top(target: str, rows: int, scores: ScoreAxes) -> np.ndarray:
    if target != "top1":
        raise InputError(f"target {target!r}: {scores.naming}" + (", one per example, or 'top1'" * scores.single))
    if not scores.single:
        raise scores.refuse(target)
    return np.full(rows, -1, np.int64)


def _classes(array: np.ndarray, scores: ScoreAxes) -> np.ndarray:
    """Indices of classes, within their range."""
    if not scores.single:
        raise scores.refuse(array.tolist())
    count, indices = scores.count, array.reshape(-1).astype(np.int64)
    wrong = indices[(indices < 0) | (indices >= count)] if count is not None else indices[indices < 0]
    if wrong.size:
        there = "one score, 0" if count == 1 else f"scores 0 to {'up' if count is None else count - 1}"
        raise InputError(f"target {wrong[0]} is out of range: the model has {there}")
    return indices


def _each(places: np.ndarray, rows: int, scores: ScoreAxes) -> np.ndarray:
    """One place for each example."""
    if len(places) not in (1, rows):
        raise InputError(f"{len(places)} targets for {rows} examples: {scores.naming}, for all or for each of {rows}")
    return np.broadcast_to(places.astype(np.int64), rows).copy()


def numbers_of(given: object, rows: int, what: str, count: int | None = None) -> np.ndarray:
    """An index for all examples or one for each, int64 (rows,); "top1", where ``count`` says how many there are, is -1.

    Raises InputError for what is none, and where ``count`` is given for indices outside of 0 to count - 1.
    """
    if isinstance(given, str) and given == "top1" and count is not None:
        return np.full(rows, -1, np.int64)
    array = as_array(given, f"{what} {given!r}")
    if array.dtype.kind not in "iu" or array.ndim > 1 or array.size not in (1, rows):
        choices = (
            "an index, " + "'top1', " * (count is not None) + f"or a list of one index for each of {rows} examples"
        )
        raise InputError(f"{what} {given!r}: give {choices}")
    if count is not None and (wrong := array[(array < 0) | (array >= count)]).size:
        raise InputError(f"{what} {wrong[0]} is out of range: the scores have 0 to {count - 1}")
    return np.broadcast_to(array.reshape(-1).astype(np.int64), rows).copy()


def typed_place(said: object) -> str | None:
    """The text that names one score: ``6``, ``500,4`` or ``top1``; None of a list of one for each of many examples."""
    if isinstance(said, str):
        return said
    array = np.asarray(said)
    if array.dtype.kind not in "iu" or array.ndim > 1 or (array.ndim and not isinstance(said, tuple | np.ndarray)):
        return None
    return ",".join(map(str, array.ravel().tolist()))


def place_name(place: np.ndarray, labels: Labels) -> str:
    """A score of an example as people call it: ``6``, ``dog (6)``, or ``500,4`` where the scores have several axes."""
    index = ",".join(map(str, np.ravel(place).tolist()))
    label = labels.get(int(place)) if np.ndim(place) == 0 else None
    return f"{label} ({index})" if label and label != index else index
