"""Files of many samples: which ending is read how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..graph.model import Model
from .array_files import ArrayRows, npy_rows, npz_rows
from .table_files import csv_rows, parquet_rows

__all__ = ["is_table", "table_rows"]

TABLES: Mapping[str, Callable[[Path, Model], ArrayRows]] = {
    ".npy": npy_rows,
    ".npz": npz_rows,
    ".csv": csv_rows,
    ".parquet": parquet_rows,
}


def is_table(path: Path) -> bool:
    """Whether a path is that of a file whose rows are samples."""
    return path.suffix.lower() in TABLES and path.is_file()


def table_rows(path: Path, model: Model) -> ArrayRows:
    """The rows of such a file; InputError where it cannot be read."""
    return TABLES[path.suffix.lower()](path, model)
