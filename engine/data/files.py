"""Files that models take: pictures as they are, arrays of .npy and .npz, rows of .csv, sound of .wav."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..graph.metadata import FEATURES, entry
from ..graph.model import Model
from ..support.damaged import readable
from .audio import WAV, read_sound, with_rate

__all__ = [
    "ARRAYS",
    "CLASSES",
    "NO_TABLE",
    "Given",
    "check_header",
    "is_number",
    "is_picture",
    "read_given",
    "table_lines",
]

ARRAYS = frozenset({".npy", ".npz", ".csv", WAV})
CLASSES = ("label", "labels", "target", "y")  # names of arrays and columns that hold classes
NO_TABLE = (OSError, ValueError, csv.Error)  # what a file that cannot be read as a table raises; no text: ValueError


@dataclass(frozen=True)
class Given:
    """The content of a file as input of a model; for a table the names of its features, for a series with a known rate
    its samples a second, too."""

    inputs: Any
    features: tuple[str, ...] = ()
    rate: float | None = None


def is_picture(path: Path) -> bool:
    """Whether a file is read as a picture, which all are that do not hold arrays."""
    return path.suffix.lower() not in ARRAYS


def read_given(model: Model, path: Path, rate: float | None = None) -> Given:
    """The contents of a file; an array without its batch axis gets one. ``rate``: samples a second of a series."""
    features = tuple(entry(model.metadata, FEATURES) or ())
    if is_picture(path):
        return Given(path)
    if path.suffix.lower() == ".csv":
        return _read_csv(path, features)
    if path.suffix.lower() == WAV:
        arrays, rate = read_sound(model, path, rate)
    else:
        arrays = _batched_arrays(model, path)
    named = with_rate(model, arrays, rate)
    return Given(named if len(model.inputs) > 1 else next(iter(named.values())), features, rate)


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


def _read_csv(path: Path, wanted: tuple[str, ...]) -> Given:
    """The rows of a table under its header; in the model's order where the model names its features."""
    try:
        header, *rows = table_lines(path)
    except NO_TABLE as error:
        reason = error.strerror if isinstance(error, OSError) else "no text with a line of names first"
        raise InputError(f"{path} cannot be read ({reason})") from error
    names = [name.strip() for name in header]
    check_header(path, names, wanted)
    if not rows:
        raise InputError(f"{path} has a header but no row")
    columns = [names.index(name) for name in wanted] if wanted else list(range(len(names)))
    table = [[_number(path, index, names, row, k) for k in columns] for index, row in enumerate(rows)]
    return Given(np.array(table, np.float32), tuple(names[k] for k in columns))


def check_header(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """InputError unless the columns are the model's features in any order, beside one that may hold classes.

    Of a model that does not name its features any names will do, but not numbers: they are a row without a header.
    """
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InputError(f"{path} has several columns {_few(repeated)}; give each a name of its own")
    if missing := [name for name in wanted if name not in names]:
        raise InputError(f"{path} has no column {_few(missing)}, which the model takes")
    if wanted and (unknown := [name for name in names if name not in (*wanted, *CLASSES)]):
        raise InputError(
            f"{path} has a column {_few(unknown)}, which the model does not take; remove it (one of classes is named "
            f"{', '.join(CLASSES)})"
        )
    if not wanted and all(map(is_number, names)) and list(names) != [str(k) for k in range(len(names))]:
        raise InputError(f"{path} has numbers in its first line, where the names of the columns belong")


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def is_number(text: Any) -> bool:
    """Whether a cell holds a number."""
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def _number(path: Path, index: int, names: list[str], row: list[str], column: int) -> float:
    try:
        return float(row[column])
    except (ValueError, IndexError):
        held = repr(row[column]) if column < len(row) else "nothing"
        raise InputError(
            f"{path}, row {index} (the first is row 0): {held} under {names[column]!r} is no number"
        ) from None
