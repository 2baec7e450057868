"""Which columns of records hold samples: numbers, arrays, pictures as bytes, or paths of files."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data.table_columns import CLASSES, Columns, columns_of, is_number
from ..errors import InputError
from ..graph.model import Model
from .array_files import ArrayRow
from .locations import FilePart
from .remote import local_path, url_of

__all__ = ["Held", "RecordColumns", "numbers_of", "path_column", "paths_of", "record_columns"]

PATHS = ("path", "file", "file_name", "filename", "image", "image_path", "url")  # names of columns of paths


@dataclass(frozen=True)
class Held:
    """The bytes of a file that lie in a table, and the file's name."""

    content: bytes
    name: str


@dataclass(frozen=True)
class RecordColumns:
    """What is read of records: ``names`` of columns, and what makes a sample of a record."""

    names: Sequence[str]
    label: str | None
    sample: Callable[[Mapping[str, Any]], Any]

    def row(self, held: Mapping[str, Any]) -> ArrayRow:
        """What loads a record, and its class; none where its cell is no whole number."""
        value: Any = held.get(self.label) if self.label else None
        whole = is_number(value) and float(value).is_integer()
        return partial(self.sample, held), int(float(value)) if whole else None


def path_column(names: Sequence[str], first: Sequence[Mapping[str, Any]]) -> str | None:
    """The column that names files, if there is one: by its name, and by text that is no number in its first rows."""
    found = [name for name in names if name.lower() in PATHS]
    return next((name for name in found if first and all(_is_text(row.get(name)) for row in first)), None)


def paths_of(file: str, names: Sequence[str], column: str) -> RecordColumns:
    """Of a column of paths, which are relative to the table unless they are absolute, or URLs."""
    return _labelled(names, [column], partial(_file, file, column))


def record_columns(
    path: Path, file: str, schema: Any, first: Callable[[], list[dict[str, Any]]], model: Model
) -> RecordColumns:
    """The columns of a pyarrow Schema that a model takes. InputError: none, or several that may be meant.

    A column of paths, of pictures as bytes (binary, or with ``bytes`` and ``path``, as Hugging Face has them) or of
    arrays is the sample; arrays of several inputs have their names; else each column of numbers is a feature. ``file``
    is where the table is: a path, or the URL that it was copied from.
    """
    names = list(schema.names)
    kinds = {name: str(schema.field(name).type) for name in names}
    pictures = [name for name in names if kinds[name] in ("binary", "large_binary") or _is_picture(schema.field(name))]
    arrays = [name for name in names if "list<" in kinds[name] or "extension<" in kinds[name]]
    text = [name for name in names if "string" in kinds[name]]
    if pictures:
        return _labelled(names, [_only(path, pictures)], partial(_bytes, file, _only(path, pictures)))
    if (column := path_column(text, rows := first())) is not None:
        return paths_of(file, names, column)
    if arrays:
        return _labelled(names, arrays, partial(_arrays, path, arrays, model))
    return numbers_of(columns_of(path, names, [tuple(row.values()) for row in rows], model))


def numbers_of(found: Columns) -> RecordColumns:
    """Of a table whose columns are the features of a model."""
    names = [*found.features, *([found.label] if found.label else [])]
    return RecordColumns(names, found.label, partial(_numbers, found.features))


def _labelled(names: Sequence[str], held: Sequence[str], sample: Callable[[Mapping[str, Any]], Any]) -> RecordColumns:
    label = next((name for name in CLASSES if name in names and name not in held), None)
    return RecordColumns([*held, *([label] if label else [])], label, sample)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not is_number(value)


def _is_picture(field: Any) -> bool:
    """A struct of bytes and path, as Hugging Face keeps pictures."""
    inner = {one.name for one in field.flatten()}
    return {f"{field.name}.bytes", f"{field.name}.path"} <= inner


def _only(path: Path, names: Sequence[str]) -> str:
    if len(names) > 1:
        raise InputError(f"{path} has several columns of pictures, {', '.join(names)}; leave one")
    return names[0]


def _file(file: str, column: str, held: Mapping[str, Any]) -> FilePart:
    named = held.get(column)
    if not named:
        raise InputError(f"nothing under {column!r}")
    return _named(file, named)


def _named(file: str, named: str) -> FilePart:
    """A file that a table names; a relative path begins at the folder of the table, or at the folder that is one."""
    if (url := url_of(named)) is not None:
        return FilePart(url)
    if url_of(file) is not None and not local_path(named).is_absolute():
        return FilePart(f"{posixpath.dirname(file)}/{named}")
    folder = Path(file) if Path(file).is_dir() else Path(file).parent
    return FilePart(str((folder / local_path(named)).absolute()))


def _bytes(file: str, column: str, held: Mapping[str, Any]) -> Held | FilePart:
    value = held.get(column)
    content, name = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, None)
    if content is None and name:
        return _named(file, name)
    if content is None:
        raise InputError(f"nothing under {column!r}")
    return Held(content, f"{file}/{name or column}")


def _arrays(path: Path, columns: Sequence[str], model: Model, held: Mapping[str, Any]) -> Any:
    shapes = {str(value.name): value.shape for value in model.inputs}
    wanted = columns if len(columns) > 1 else [next(iter(shapes), columns[0])]
    if missing := [name for name in wanted if name not in shapes]:
        raise InputError(f"{path} has a column {missing[0]!r} of arrays; the model takes {', '.join(shapes)}")
    found = {name: _array(held.get(column), shapes[name], column) for name, column in zip(wanted, columns, strict=True)}
    return found if len(found) > 1 else next(iter(found.values()))


def _array(value: Any, shape: Any, column: str) -> np.ndarray:
    """The array of a cell, with a batch axis; one without axes gets those of the model's input."""
    try:
        array = np.asarray(value, np.float32 if _holds_floats(value) else None)
    except (TypeError, ValueError) as error:
        raise InputError(f"the cell under {column!r} is no array of numbers") from error
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise InputError(f"the cell under {column!r} is no array of numbers")
    sizes = [] if shape is None else list(shape)[1:]
    if array.ndim == 1 and len(sizes) > 1 and all(isinstance(size, int) for size in sizes):
        if array.size != np.prod(sizes):
            raise InputError(f"the {array.size} numbers under {column!r} make no {' x '.join(map(str, sizes))}")
        array = array.reshape(sizes)
    return array[None]


def _holds_floats(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, float)


def _numbers(features: Sequence[str], held: Mapping[str, Any]) -> np.ndarray:
    try:
        return np.array([[float(held[name]) for name in features]], np.float32)
    except (KeyError, TypeError, ValueError):
        bad = next(name for name in features if not is_number(held.get(name)))
        raise InputError(f"{held.get(bad)!r} under {bad!r} is no number") from None
