"""Which score of each example is explained: from what a user says to numbers that the graph takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.arrays import as_array
from ..errors import InputError
from .score_axes import ScoreAxes

__all__ = ["Target", "is_seed", "resolve_target"]


@dataclass(frozen=True)
class Target:
    """Which score is explained of each example: its place among all (-1: the largest), or a seed that weights them."""

    indices: np.ndarray | None = None
    seed: np.ndarray | None = None


def is_seed(target: object) -> bool:
    """Whether a target is an array of weights of the scores."""
    return not isinstance(target, str | tuple | int) and as_array(target, "the target").dtype.kind == "f"


def resolve_target(target: object, rows: int, scores: ScoreAxes) -> Target:
    """Reads what a user says: "top1", an index, one per example, a tuple, one per example, or a seed.

    A single index and "top1" name a score only where the scores of an example have one axis; else they are an
    InputError, which says the shape of the scores.
    """
    if isinstance(target, str):
        return Target(_top(target, rows, scores))
    array = as_array(target, f"target {target!r}")
    if array.dtype.kind == "f":
        return Target(seed=_seed(array, rows, scores))
    if array.dtype.kind not in "iu":
        raise InputError(f"target of type {array.dtype}: {scores.naming}")
    if isinstance(target, tuple) and array.ndim == 1:
        return Target(np.full(rows, scores.flat(array.tolist())))
    if array.ndim == 2:
        return Target(_each(np.array([scores.flat(index) for index in array.tolist()]), rows, scores))
    if array.ndim > 1:
        raise InputError(f"target of {array.ndim} axes, {array.shape}: {scores.naming}; or one target for each example")
    return Target(_each(_classes(array, scores), rows, scores))


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
        upper = "up" if count is None else count - 1
        raise InputError(f"target {wrong[0]} is out of range: the model has scores 0 to {upper}")
    return indices


def _each(places: np.ndarray, rows: int, scores: ScoreAxes) -> np.ndarray:
    """One place for each example."""
    if len(places) not in (1, rows):
        raise InputError(f"{len(places)} targets for {rows} examples: {scores.naming}, for all or for each of {rows}")
    return np.broadcast_to(places.astype(np.int64), rows).copy()


def _seed(array: np.ndarray, rows: int, scores: ScoreAxes) -> np.ndarray:
    """A seed in the layout of the scores, with its examples first."""
    wanted = scores.laid_out(rows)
    if array.ndim != len(wanted) or any(n not in (None, m) for n, m in zip(wanted, array.shape, strict=True)):
        raise InputError(f"a target array is a seed of the scores' shape {wanted}, not {array.shape}")
    if not np.isfinite(array).all():
        raise InputError("the target array, a seed, holds NaN or infinity")
    array = array.astype(np.float32)
    return array[None] if len(wanted) == len(scores.shape) else np.moveaxis(array, scores.axis or 0, 0)
