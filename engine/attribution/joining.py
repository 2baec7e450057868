"""Outputs of several runs as one array each, joined along the axis that counts examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InputError
from ..graph.model import Model
from .axes import counting_axis

__all__ = ["joined"]

Arrays = Mapping[str, np.ndarray]


def joined(model: Model, runs: Sequence[Arrays], rows: Sequence[int], examples: int) -> dict[str, np.ndarray]:
    """The arrays of runs of so many ``rows`` each by name, for so many examples: rows that fill up the last are cut.

    An array that does not count examples is given whole; raises InputError where it differs between runs.
    """
    if len(runs) == 1 and rows[0] == examples:
        return dict(runs[0])
    return {name: _joined(model, name, [run[name] for run in runs], rows, examples) for name in runs[0]}


def _joined(model: Model, name: str, parts: Sequence[np.ndarray], rows: Sequence[int], examples: int) -> np.ndarray:
    axis = counting_axis(model, name, [part.shape for part in parts], rows)
    if axis is not None:
        return np.take(np.concatenate(parts, axis), np.arange(examples), axis)
    if not all(np.array_equal(parts[0], part, equal_nan=part.dtype.kind == "f") for part in parts):
        raise InputError(
            f"{name!r} counts no examples, and differs between the runs of {rows[0]} that {examples} examples take; "
            "give fewer at a time, or more memory"
        )
    return parts[0]
