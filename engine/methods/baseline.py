"""Baselines: the input that stands for "nothing there"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputError
from .explained import Explained

__all__ = ["Baseline", "baseline_array", "baseline_examples", "check_baseline"]

Baseline = float | np.ndarray | Sequence[float] | str | Mapping[str, "float | np.ndarray | Sequence[float] | str"]

SINGLE = ", one for each example along a first axis, 'mean' or 'blurred'"  # what else a method with one baseline takes
SEVERAL = ", or of several examples, along a first axis"  # what else a method that draws from baselines takes


def baseline_array(baseline: Baseline, about: Explained, missing: bool = False) -> np.ndarray:
    """A baseline shaped to broadcast over one example with its batch axis, where it has one.

    A number stands for every element; a vector as long as the channel axis for one number per channel; an array of
    the example's shape for itself; a mapping gives each input its own. ``missing``: NaN is a value that may be missing.
    """
    given = baseline.get(about.name, 0.0) if isinstance(baseline, Mapping) else baseline
    array = _numbers(given, about, SINGLE)
    rank = len(about.shape)
    if array.ndim == 1 and rank > 1 and about.channels is not None:
        array = array.reshape([-1 if axis == about.channels else 1 for axis in range(rank)])
    if array.ndim == rank + 1 and array.shape[0] == 1:
        array = array[0]
    fits = array.ndim in (0, rank) and all(
        n in (1, m) or m is None for n, m in zip(array.shape, about.shape, strict=False)
    )
    if not fits or np.isinf(array).any() or (np.isnan(array).any() and not missing):
        raise _refused(given, about, SINGLE)
    return array if array.ndim == 0 or about.batch is None else np.expand_dims(array, about.batch)


def baseline_examples(baseline: Baseline, about: Explained, missing: bool = False) -> np.ndarray:
    """Baselines as examples (K, *shape): those of an array with one more axis than an example, else the single one.

    ``missing``: NaN is a value that may be missing.
    """
    shape = about.sizes("baseline: several examples need")
    given = baseline.get(about.name, 0.0) if isinstance(baseline, Mapping) else baseline
    array, one = _numbers(given, about, SEVERAL), replace(about, batch=None)
    several = array.ndim == len(about.shape) + 1 and len(array) > 0
    if several and array.shape[1:] != about.shape:
        raise _refused(given, about, SEVERAL)
    rows = array if several else [given]
    return np.stack([np.broadcast_to(baseline_array(row, one, missing), shape) for row in rows])


def check_baseline(baseline: Baseline, explained: Mapping[str, Explained]) -> None:
    """A mapping may name explained inputs only."""
    unknown = [str(name) for name in baseline if name not in explained] if isinstance(baseline, Mapping) else []
    if unknown:
        raise InputError(f"baseline for {', '.join(unknown)}: the model's inputs are {', '.join(explained)}")


def _numbers(given: object, about: Explained, more: str) -> np.ndarray:
    try:
        return np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise _refused(given, about, more) from None


def _refused(given: object, about: Explained, more: str = "") -> InputError:
    what = repr(given) if isinstance(given, str) else f"of shape {np.shape(np.asarray(given, object))}"
    return InputError(
        f"baseline {what} for input {about.name!r}: give a finite number, one number per channel, or an array of one "
        f"example's shape {about.shape}{more}"
    )
