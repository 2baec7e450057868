"""Files that models take: pictures as they are, arrays of .npy and .npz, rows of .csv, sound of .wav."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..graph.metadata import FEATURES, entry
from ..graph.model import Model
from ..graph.tree_ensembles import takes_missing
from ..support.caller import warn_caller
from ..support.damaged import readable
from ..support.pipes import check_no_pipe
from .audio import WAV, read_sound, sampling_rate, with_rate
from .table_columns import FIRST_ROWS, columns_of

__all__ = [
    "ARRAYS",
    "NO_TABLE",
    "Given",
    "is_picture",
    "read_given",
    "table_lines",
]

ARRAYS = (".npy", ".npz", ".csv", WAV)
NO_TABLE = (OSError, ValueError, csv.Error)  # what a file that cannot be read as a table raises; no text: ValueError


@dataclass(frozen=True)
class Given:
    """The content of a file as input of a model; for a table the names of its features, for a series with a known rate
    its samples a second, too."""

    inputs: Any
    features: tuple[str, ...] = ()
    rate: float | None = None


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file is read as a picture, which all are that do not hold arrays."""
    return not os.fspath(path).lower().endswith(ARRAYS)


def read_given(model: Model, path: Path, rate: float | None = None) -> Given:
    """The contents of a file; an array without its batch axis gets one. ``rate``: samples a second of a series."""
    features = tuple(entry(model.metadata, FEATURES) or ())
    check_no_pipe(path)
    if is_picture(path):
        return Given(path)
    if path.suffix.lower() == ".csv":
        return _read_csv(path, model)
    if path.suffix.lower() == WAV:
        arrays, rate = read_sound(model, path, rate)
    else:
        arrays = _batched_arrays(model, path)
    named = with_rate(model, arrays, rate)
    return Given(named if len(model.inputs) > 1 else next(iter(named.values())), features, rate or sampling_rate(named))


def _batched_arrays(model: Model, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by input; a single one is that of the first input."""
    arrays = _read_arrays(path)
    ranks = {str(v.name): None if v.shape is None else len(v.shape) for v in model.inputs}
    if isinstance(arrays, dict) and len(ranks) > 1:
        return {name: _batched(array, ranks.get(name)) for name, array in arrays.items()}
    if isinstance(arrays, dict) and len(arrays) > 1:
        raise InputError(f"{path} holds {len(arrays)} arrays, {', '.join(arrays)}, but the model has one input")
    array = next(iter(arrays.values())) if isinstance(arrays, dict) else arrays
    first = next(iter(ranks), "")
    return {first: _batched(array, ranks.get(first))}


def _read_arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    with readable(path, "NumPy file of numbers", InputError):
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            return held
        with held:
            arrays = dict(held)
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise InputError(f"{path} holds no arrays, or other things than arrays: {', '.join(arrays) or 'it is empty'}")
    return arrays


def _batched(array: np.ndarray, rank: int | None) -> np.ndarray:
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    return array[None] if rank is not None and array.ndim == rank - 1 else array


def table_lines(path: Path) -> Iterator[list[str]]:
    """The lines of a .csv file as lists of their cells, without empty lines; raises one of ``NO_TABLE``."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from filter(None, csv.reader(file))


def _read_csv(path: Path, model: Model) -> Given:
    """The rows of a table under its header; in the model's order where the model names its features."""
    try:
        header, *rows = table_lines(path)
    except NO_TABLE as error:
        reason = error.strerror if isinstance(error, OSError) else "no text with a line of names first"
        raise InputError(f"{path} cannot be read ({reason})") from error
    names = [name.strip() for name in header]
    found = columns_of(path, names, rows[:FIRST_ROWS], model)
    features = found.features
    if found.label is not None:
        warn_caller(f"{path}: the column {found.label!r} holds classes, and is left out")
    if not rows:
        raise InputError(f"{path} has a header but no row")
    columns, missing = [names.index(name) for name in features], bool(model.inputs) and takes_missing(model.inputs[0])
    table = [[_number(path, index, names, row, k, missing) for k in columns] for index, row in enumerate(rows)]
    return Given(np.array(table, np.float32), features)


def _number(path: Path, index: int, names: list[str], row: list[str], column: int, missing: bool) -> float:
    """The number of a cell; NaN of an empty one, where the model takes ``missing`` values."""
    if missing and column < len(row) and not row[column].strip():
        return float("nan")
    try:
        return float(row[column])
    except (ValueError, IndexError):
        held = repr(row[column]) if column < len(row) else "nothing"
        raise InputError(
            f"{path}, row {index} (the first is row 0): {held} under {names[column]!r} is no number"
        ) from None
