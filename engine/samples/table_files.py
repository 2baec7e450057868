"""Rows of tables, read one after another: .csv under a line of names, .parquet by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ..data.files import NO_TABLE, table_lines
from ..data.table_columns import FIRST_ROWS, columns_of
from ..errors import InputError
from ..graph.model import Model
from ..optional import import_extra
from ..support.damaged import readable
from .array_files import ArrayRow, ArrayRows
from .record_columns import RecordColumns, numbers_of, path_column, paths_of, record_columns

__all__ = ["csv_rows", "parquet_rows"]

BATCH = 256  # rows of a .parquet file that are read at once


def csv_rows(path: Path, model: Model, file: str) -> ArrayRows:
    """The rows of a .csv file; a column named label, labels, target or y holds classes, one named path or so files."""
    try:
        lines = table_lines(path)
        header, first = next(lines, []), list(islice(lines, FIRST_ROWS))
        count = len(first) + sum(1 for _ in lines)
    except NO_TABLE as error:
        raise InputError(f"{path} cannot be read as a table with a line of names first") from error
    columns = _csv_columns(path, file, [name.strip() for name in header], first, model)
    return ArrayRows(count, partial(_csv_each, path, columns), columns.label is not None)


def _csv_columns(path: Path, file: str, names: list[str], first: list[list[str]], model: Model) -> RecordColumns:
    column = path_column(names, [dict(zip(names, row, strict=False)) for row in first])
    if column is not None:
        return paths_of(file, names, column)
    return numbers_of(columns_of(path, names, first, model))


def parquet_rows(path: Path, model: Model, file: str) -> ArrayRows:
    """The rows of a .parquet file; its columns as ``record_columns`` takes them."""
    parquet = import_extra("pyarrow.parquet")

    def first() -> list[dict[str, Any]]:
        with readable(path, ".parquet file", InputError):
            batch = next(held.iter_batches(FIRST_ROWS), None)
            return [] if batch is None else batch.to_pylist()

    with readable(path, ".parquet file", InputError):
        held = parquet.ParquetFile(path)
    columns = record_columns(path, file, held.schema_arrow, first, model)
    each = partial(_parquet_each, path, held, columns)
    return ArrayRows(held.metadata.num_rows, each, columns.label is not None, seeks=True)


def _csv_each(path: Path, columns: RecordColumns, start: int) -> Iterator[ArrayRow]:
    lines = table_lines(path)
    names = [name.strip() for name in next(lines, [])]
    for row in islice(lines, start, None):
        yield columns.row(dict(zip(names, row, strict=False)))


def _parquet_each(path: Path, file: Any, columns: RecordColumns, start: int) -> Iterator[ArrayRow]:
    with readable(path, ".parquet file", InputError):
        groups, skipped = _groups_from(file, start)
        batches = file.iter_batches(BATCH, groups, columns=list(columns.names))
        for held in islice((row for batch in batches for row in batch.to_pylist()), skipped, None):
            yield columns.row(held)


def _groups_from(file: Any, start: int) -> tuple[list[int], int]:
    """The row groups from the one that holds a row on, and how many of its rows come before that."""
    for group in range(file.num_row_groups):
        if start < (rows := file.metadata.row_group(group).num_rows):
            return list(range(group, file.num_row_groups)), start
        start -= rows
    return [], 0
