"""Hugging Face data sets on disk, as ``datasets`` saves them: a folder of Arrow files, read by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..graph.model import Model
from ..optional import import_extra
from ..support.damaged import readable
from ..support.schema import Struct, decoded
from .array_files import ArrayRow, ArrayRows
from .record_columns import RecordColumns, record_columns

__all__ = ["INFO", "SPLITS", "STATE", "arrow_files", "arrow_rows"]

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
BATCH = 256  # rows that are decoded at once
KIND = "Hugging Face data set, as save_to_disk writes it"


class _File(Struct):
    filename: str


class _State(Struct):
    _data_files: list[_File]
    _indices_data_files: list[_File] | None = None


def arrow_files(folder: Path) -> list[Path]:
    """The Arrow files of such a folder; an InputError where it has none."""
    with readable(folder / STATE, KIND, InputError):
        text = (folder / STATE).read_bytes()
    state = decoded(text, _State, f"{folder / STATE}: no state of a data set; it", InputError)
    if state._indices_data_files:  # as old releases wrote them
        raise InputError(f"{folder} is a selection of the rows of its files; save it again with a later datasets")
    return [folder / one.filename for one in state._data_files]


def arrow_rows(folder: Path, model: Model, file: str) -> ArrayRows:
    """The rows of such a folder, mapped into memory; its columns are those of a .parquet file."""
    tables = [table for one in arrow_files(folder) if (table := _table(one)).num_rows]
    if not tables:
        raise InputError(f"{folder} holds no samples")
    columns = record_columns(folder, file, tables[0].schema, tables[0].slice(0, 50).to_pylist, model)
    count = sum(table.num_rows for table in tables)
    return ArrayRows(count, partial(_each, folder, tables, columns), columns.label is not None, seeks=True)


def _table(file: Path) -> Any:
    arrow, ipc = import_extra("pyarrow"), import_extra("pyarrow.ipc")
    with readable(file, KIND, InputError):
        return ipc.open_stream(arrow.memory_map(str(file))).read_all()


def _each(folder: Path, tables: list[Any], columns: RecordColumns, start: int) -> Iterator[ArrayRow]:
    for table in tables:
        if start >= table.num_rows:
            start -= table.num_rows
            continue
        with readable(folder, KIND, InputError):
            for batch in table.select(columns.names).slice(start).to_batches(BATCH):
                for held in batch.to_pylist():
                    yield columns.row(held)
        start = 0
