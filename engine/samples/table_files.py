"""Rows of tables, read one after another: .csv under a line of names, .parquet by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..data.files import NO_TABLE, table_lines
from ..data.table_columns import FIRST_ROWS, columns_of, is_number
from ..errors import InputError
from ..graph.model import Model
from ..optional import import_extra
from ..support.damaged import readable
from .array_files import ArrayRow, ArrayRows

__all__ = ["csv_rows", "parquet_rows"]

BATCH = 256  # rows of a .parquet file that are read at once


def csv_rows(path: Path, model: Model) -> ArrayRows:
    """The rows of a .csv file; a column named label, labels, target or y holds classes."""
    try:
        lines = table_lines(path)
        header, first = next(lines, []), list(islice(lines, FIRST_ROWS))
        count = len(first) + sum(1 for _ in lines)
    except NO_TABLE as error:
        raise InputError(f"{path} cannot be read as a table with a line of names first") from error
    names = [name.strip() for name in header]
    found = columns_of(path, names, first, model)
    return ArrayRows(count, partial(_csv_each, path, names, found.features, found.label), found.label is not None)


def parquet_rows(path: Path, model: Model) -> ArrayRows:
    """The rows of a .parquet file; a column named label, labels, target or y holds classes."""
    parquet = import_extra("pyarrow.parquet")
    with readable(path, ".parquet file", InputError):
        file = parquet.ParquetFile(path)
    names = list(file.schema_arrow.names)
    with readable(path, ".parquet file", InputError):
        first = next(file.iter_batches(FIRST_ROWS), None)
    found = columns_of(path, names, list(zip(*first.to_pydict().values(), strict=True)) if first else [], model)
    each = partial(_parquet_each, path, file, found.features, found.label)
    return ArrayRows(file.metadata.num_rows, each, found.label is not None, seeks=True)


def _csv_each(
    path: Path, names: Sequence[str], features: Sequence[str], label: str | None, start: int
) -> Iterator[ArrayRow]:
    for row in islice(table_lines(path), 1 + start, None):
        held = dict(zip(names, row, strict=False))
        yield partial(_numbers, held, features), _class(held, label)


def _parquet_each(path: Path, file: Any, features: Sequence[str], label: str | None, start: int) -> Iterator[ArrayRow]:
    with readable(path, ".parquet file", InputError):
        groups, skipped = _groups_from(file, start)
        batches = file.iter_batches(BATCH, groups, columns=[*features, *([label] if label else [])])
        for held in islice((row for batch in batches for row in batch.to_pylist()), skipped, None):
            yield partial(_numbers, held, features), _class(held, label)


def _groups_from(file: Any, start: int) -> tuple[list[int], int]:
    """The row groups from the one that holds a row on, and how many of its rows come before that."""
    for group in range(file.num_row_groups):
        if start < (rows := file.metadata.row_group(group).num_rows):
            return list(range(group, file.num_row_groups)), start
        start -= rows
    return [], 0


def _numbers(held: Mapping[str, Any], features: Sequence[str]) -> np.ndarray:
    try:
        return np.array([[float(held[name]) for name in features]], np.float32)
    except (KeyError, TypeError, ValueError):
        bad = next(name for name in features if not is_number(held.get(name)))
        raise InputError(f"{held.get(bad)!r} under {bad!r} is no number") from None


def _class(held: Mapping[str, Any], label: str | None) -> int | None:
    """The class of a row; None where its cell is no whole number."""
    value: Any = held.get(label) if label else None
    return int(float(value)) if is_number(value) and float(value).is_integer() else None
