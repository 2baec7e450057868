"""The samples of a comparison, read one after another, so that memory does not grow with their number.

Pictures, a folder (its sub-folders are labels), .npy and .npz arrays whose first axis counts samples, tables as .csv
and .parquet; in Python arrays, and pairs of inputs and labels, too.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
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
from .array_files import ArrayRow, ArrayRows, npy_rows, npz_rows
from .table_files import csv_rows, parquet_rows

__all__ = ["Data", "Sample", "Samples", "modules_for", "open_samples"]

Data = Any  # what open_samples takes

TABLES = {".npy": npy_rows, ".npz": npz_rows, ".csv": csv_rows, ".parquet": parquet_rows}


@dataclass(frozen=True)
class Sample:
    """One input: ``load`` reads it when its turn comes, as a picture or as arrays of one example."""

    name: str
    load: Callable[[], Any]
    label: int | None = None
    path: Path | None = None

    def required_label(self) -> int:
        """The label of a sample whose class is explained; an InputError where it has none."""
        if self.label is None:
            raise InputError("it has no label, which target 'label' needs")
        return self.label

    @property
    def mark(self) -> str:
        """The identity of a sample besides its name: its label, and its file's size and time or its numbers."""
        if self.path is not None:
            file = self.path.stat()
            return f"{self.label} {self.path.resolve()} {file.st_size} {file.st_mtime_ns}"
        given = self.load()
        code = 0
        for array in given.values() if isinstance(given, Mapping) else [given]:
            code = zlib.crc32(np.asarray(array).tobytes(), code)
        return f"{self.label} {code:08x}"


@dataclass(frozen=True)
class Samples:
    """Samples that can be gone through again and again; ``kept`` are the indices of those that were drawn.

    ``at`` gives one sample by its index, where none before it need be read for that.
    """

    count: int
    each: Callable[[], Iterator[Sample]]
    labelled: bool
    kept: frozenset[int] | None = None
    at: Callable[[int], Sample] | None = None

    def __len__(self) -> int:
        return self.count if self.kept is None else len(self.kept)

    def __iter__(self) -> Iterator[Sample]:
        kept = self.kept
        return (sample for index, sample in enumerate(self.each()) if kept is None or index in kept)

    def between(self, start: int, stop: int) -> list[Sample]:
        """The samples from one index up to another, in their order."""
        if self.at is not None and self.kept is None:
            return [self.at(index) for index in range(start, min(stop, self.count))]
        return list(islice(self, start, stop))

    def drawn(self, number: int | None, seed: int) -> Samples:
        """So many of them at random, the same ones for the same seed, in their order; all where there are no more."""
        if number is None or number >= len(self):
            return self
        if number < 1:
            raise InputError(f"samples={number}: give a number from 1 up")
        among = np.arange(self.count) if self.kept is None else np.sort(list(self.kept))
        chosen = np.random.default_rng(seed).choice(among, number, replace=False)
        return replace(self, kept=frozenset(chosen.tolist()))


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
    if len(paths) == 1 and paths[0].is_file() and (read := TABLES.get(paths[0].suffix.lower())):
        return _of_rows(read(paths[0], model), paths[0].name)
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
    return Sample(name, lambda: read_given(model, file).inputs, label, file)


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


def _of_rows(rows: ArrayRows, name: str) -> Samples:
    def each() -> Iterator[Sample]:
        for index, (load, label) in enumerate(rows.each()):
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

    def each() -> Iterator[ArrayRow]:
        return ((lambda k=k: one(k), None if labels is None else int(labels[k])) for k in range(count))

    return _of_rows(ArrayRows(count, each, labels is not None), "sample")
