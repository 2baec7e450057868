"""Which columns of a table a model takes: its features by name, beside one of classes and one that counts the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..graph.metadata import FEATURES, entry
from ..graph.model import Model
from ..support.caller import warn_caller

__all__ = ["CLASSES", "FIRST_ROWS", "Columns", "columns_of", "is_number"]

CLASSES = ("label", "labels", "target", "y")  # names of arrays and columns that hold classes
INDICES = (
    "",
    "id",
    "index",
    "row",
    "unnamed: 0",
    "__index_level_0__",
)  # names of columns that count rows, in lower case
SEPARATORS = (";", "\t", "|")  # of tables that are no .csv of commas
FIRST_ROWS = 50  # by which a column of such a name is known


@dataclass(frozen=True)
class Columns:
    """The names of the features of a table, in the model's order where it names them, and of the column of classes."""

    features: tuple[str, ...]
    label: str | None


def columns_of(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]], model: Model) -> Columns:
    """The columns that a model takes, from the names and the first rows of a table.

    A column that counts the rows is left out, and a warning says so; it stays where the model takes as many columns.
    """
    if len(names) == 1 and (found := [mark for mark in SEPARATORS if mark in names[0]]):
        raise InputError(f"{path} has no commas between its columns but {found[0]!r}; save it with commas")
    wanted, width = entry(model.metadata, FEATURES) or [], _width(model)
    index = _index_column(names, rows) if set(names) - set(wanted) else None
    if index in wanted or (not wanted and width == len(names)):
        index = None
    if index is not None:
        warn_caller(f"{path}: the column {index!r} counts the rows, and is left out")
    kept = [name for name in names if name != index]
    _check_names(path, kept, wanted)
    label = next((name for name in CLASSES if name in kept and name not in wanted), None)
    if not wanted and width == len(kept):
        label = None  # the model takes it as a feature
    return Columns(tuple(wanted or [name for name in kept if name != label]), label)


def _width(model: Model) -> int | None:
    """How many columns the first input of a model takes."""
    shape = model.inputs[0].shape if model.inputs else None
    last = shape[-1] if shape is not None and len(shape) == 2 else None
    return last if isinstance(last, int) else None


def _index_column(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str | None:
    """The first column of such a name whose whole numbers rise from row to row."""
    for k, name in enumerate(names):
        cells = [row[k] for row in rows if k < len(row)]
        if name.lower() in INDICES and cells and all(map(is_number, cells)):
            numbers = [float(cell) for cell in cells]
            if all(n.is_integer() for n in numbers) and all(a < b for a, b in pairwise(numbers)):
                return name
    return None


def _check_names(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """InputError unless the columns are the model's features in any order, beside one that may hold classes.

    Of a model that does not name its features any names will do, but not numbers: they are a row without a header.
    """
    if not wanted and all(map(is_number, names)) and list(names) != [str(k) for k in range(len(names))]:
        raise InputError(f"{path} has numbers in its first line, where the names of the columns belong")
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InputError(f"{path} has several columns {_few(repeated)}; give each a name of its own")
    if missing := [name for name in wanted if name not in names]:
        raise InputError(f"{path} has no column {_few(missing)}, which the model takes")
    if wanted and (unknown := [name for name in names if name not in (*wanted, *CLASSES)]):
        raise InputError(
            f"{path} has a column {_few(unknown)}, which the model does not take; remove it (one of classes is named "
            f"{', '.join(CLASSES)})"
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def is_number(text: Any) -> bool:
    """Whether a cell holds a number."""
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
