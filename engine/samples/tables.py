"""Files of many samples: which is read how."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..graph.model import Model
from .array_files import ArrayRows, npy_rows, npz_rows
from .arrow_files import INFO, SPLITS, STATE, arrow_files, arrow_rows
from .locations import stamp_of
from .remote import opened_url, url_of
from .table_files import csv_rows, parquet_rows
from .tar_files import TAR

__all__ = ["holds_many", "is_table", "is_table_name", "table_rows", "table_stamp"]

TABLES: Mapping[str, Callable[[Path, Model, str], ArrayRows]] = {
    ".npy": npy_rows,
    ".npz": npz_rows,
    ".csv": csv_rows,
    ".parquet": parquet_rows,
}


def is_table_name(name: str) -> bool:
    """Whether a file of a name is one whose rows are samples."""
    return Path(name).suffix.lower() in TABLES


def holds_many(name: str) -> bool:
    """Whether a file of a name always holds samples rather than being one: a table with columns, or a tar file."""
    return Path(name).suffix.lower() in (TAR, ".csv", ".parquet")


def is_table(path: Path, model: Model, alone: bool) -> bool:
    """Whether a path is that of rows that are samples: a table, or a data set of Hugging Face.

    Beside others, unless it is ``alone``, an array without an axis that counts samples is one sample itself.
    """
    if path.is_dir():
        if (path / SPLITS).is_file():
            raise InputError(f"{path} holds several data sets, such as train and test; name the folder of one")
        return (path / STATE).is_file() and (path / INFO).is_file()
    if not path.is_file() or not is_table_name(path.name):
        return False
    return alone or holds_many(path.name) or _counts_samples(path, model)


def table_rows(file: str, model: Model, stamp: str) -> ArrayRows:
    """The rows of such a file, by path or URL; InputError where it cannot be read."""
    path = _fetched(file, stamp)
    read = arrow_rows if path.is_dir() else TABLES[path.suffix.lower()]
    return read(path, model, file)


def table_stamp(path: Path) -> str:
    """Size and time of the file, or of the files of a data set."""
    return " ".join(map(stamp_of, arrow_files(path))) if path.is_dir() else stamp_of(path)


@lru_cache(maxsize=4)
def _fetched(file: str, stamp: str) -> Path:
    """The path of a table; one behind a URL is copied, until this process ends, and again once it has another stamp."""
    if url_of(file) is None:
        return Path(file)
    folder = tempfile.mkdtemp(prefix="onnxray-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = Path(folder) / Path(file).name
    with opened_url(file) as stream, copy.open("wb") as target:
        shutil.copyfileobj(stream, target)
    return copy


def _counts_samples(path: Path, model: Model) -> bool:
    if path.suffix.lower() != ".npy":
        return False
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError):
        return False
    wanted = model.inputs[0].shape if model.inputs else None
    return wanted is not None and len(shape) == len(wanted) and shape[0] > 1
