"""The samples of a comparison, read one after another, so that memory does not grow with their number.

Pictures, a folder (its sub-folders are labels), .npy and .npz arrays whose first axis counts samples, tables as .csv
and .parquet; in Python arrays, and pairs of inputs and labels, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..attribution.target_text import parse_target
from ..data.files import read_given
from ..data.found_files import find_files, sub_folders
from ..data.labels import Labels, labels_of
from ..errors import InputError
from ..graph.model import Model
from .array_files import ArrayRow, ArrayRows
from .locations import FilePart, TableRow, stamp_of
from .sample import Sample, Samples
from .tables import is_table, table_rows

__all__ = ["Data", "modules_for", "open_samples"]

Data = Any  # what open_samples takes


def modules_for(data: Data) -> tuple[str, ...]:
    """The modules of extras that reading the data takes."""
    paths = [data] if isinstance(data, str | PathLike) else data if isinstance(data, list) else []
    tables = [one for one in paths if isinstance(one, str | PathLike) and Path(one).suffix.lower() == ".parquet"]
    return ("pyarrow",) if tables else ()


def open_samples(data: Data, model: Model, labels: Labels | None = None) -> Samples:
    """The samples of whatever a user gives; an InputError where there is none."""
    known = labels if labels is not None else labels_of(model)
    if isinstance(data, Samples):
        return data
    if isinstance(data, str | PathLike):
        return _of_paths([Path(data)], model, known)
    if isinstance(data, Sequence) and not isinstance(data, tuple) and all(isinstance(d, str | PathLike) for d in data):
        return _of_paths([Path(one) for one in data], model, known)
    if isinstance(data, Sequence) and data and all(isinstance(one, Image.Image) for one in data):
        return Samples(len(data), lambda: (Sample(f"picture {k}", lambda p=p: p) for k, p in enumerate(data)), False)
    return _of_arrays(data, model)


def _of_paths(paths: Sequence[Path], model: Model, labels: Labels) -> Samples:
    if len(paths) == 1 and is_table(paths[0]):
        return _of_table(paths[0], model)
    files = _labelled_files(paths, labels)
    top = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    return Samples(
        len(files),
        lambda: (_of_file(file, label, model, top) for file, label in files),
        all(label is not None for _, label in files),
        at=lambda index: _of_file(*files[index], model, top),
    )


def _of_file(file: Path, label: int | None, model: Model, top: Path | None) -> Sample:
    name = str(file.relative_to(top) if top else file)
    return Sample(name, lambda: read_given(model, file).inputs, label, file, FilePart(str(file.absolute())))


def _labelled_files(paths: Sequence[Path], labels: Labels) -> list[tuple[Path, int | None]]:
    """Files and labels: those of sub-folders by their names, or in order where the names are no labels of the model."""
    found = find_files(paths)
    for file in found:
        if not file.exists():
            raise InputError(f"{file}: there is no such file or folder")
    known = {part: label for path in paths if path.is_dir() for part, label in _labels_in(path, labels).items()}
    return [(file, next((known[part] for part in file.parents if part in known), None)) for file in found]


def _labels_in(folder: Path, labels: Labels) -> dict[Path, int]:
    parts = sub_folders(folder)
    classes = _classes([part.name for part in parts], labels)
    return {part: classes[part.name] for part in parts}


def _classes(names: Sequence[str], labels: Labels) -> Mapping[str, int]:
    if not labels and not all(name.isdigit() for name in names):
        return {name: index for index, name in enumerate(names)}
    return {name: _index(name, labels) for name in names}


def _index(name: str, labels: Labels) -> int:
    found = parse_target(name, labels)
    if not isinstance(found, int):
        raise InputError(f"sub-folder {name!r} is no class; name sub-folders after labels or indices")
    return found


def _of_table(file: Path, model: Model) -> Samples:
    rows, stamp, whole = table_rows(file, model), stamp_of(file), str(file.absolute())

    def at(index: int) -> Sample:
        def load() -> Any:
            return next(rows.each(index))[0]()

        return Sample(f"{file.name}:{index}", load, location=TableRow(whole, index, stamp))

    return replace(_of_rows(rows, file.name), at=at)


def _of_rows(rows: ArrayRows, name: str) -> Samples:
    def each() -> Iterator[Sample]:
        for index, (load, label) in enumerate(rows.each(0)):
            yield Sample(f"{name}:{index}", load, label)

    if not rows.count:
        raise InputError(f"{name} holds no samples")
    return Samples(rows.count, each, rows.labelled)


def _of_arrays(data: Any, model: Model) -> Samples:
    """An array, a dict of them, or a pair of these and labels."""
    inputs, labels = data if isinstance(data, tuple) and len(data) == 2 else (data, None)
    arrays = {k: np.asarray(v) for k, v in inputs.items()} if isinstance(inputs, Mapping) else np.asarray(inputs)
    count = len(next(iter(arrays.values())) if isinstance(arrays, dict) else np.atleast_1d(arrays))
    if labels is not None and len(labels) != count:
        raise InputError(f"{len(labels)} labels for {count} samples")

    def one(k: int) -> Any:
        return {n: a[k : k + 1] for n, a in arrays.items()} if isinstance(arrays, dict) else arrays[k : k + 1]

    def each(start: int) -> Iterator[ArrayRow]:
        return ((lambda k=k: one(k), None if labels is None else int(labels[k])) for k in range(start, count))

    return _of_rows(ArrayRows(count, each, labels is not None), "sample")
