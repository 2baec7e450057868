"""The samples of a comparison, read one after another, so that memory does not grow with their number.

Pictures, a folder (its sub-folders are labels), .npy and .npz arrays whose first axis counts samples, tables as .csv
and .parquet, WebDataset tar files, data sets of Hugging Face, URLs, folders of runs; in Python arrays, and pairs of
inputs and labels.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..attribution.target_text import label_hint, names_class, parse_target
from ..data.files import read_given
from ..data.found_files import find_files, sub_folders
from ..data.labels import Labels, labels_of
from ..errors import InputError
from ..graph.model import Model
from .array_files import ArrayRow, ArrayRows
from .arrow_files import STATE
from .data_parts import joined, rows_as_samples, table_samples, tar_file_samples, url_samples
from .locations import FilePart
from .reader import Reader
from .remote import local_path, url_of
from .run_folder import is_run, samples_of_run
from .sample import Sample, Samples
from .tables import holds_many, is_table
from .tar_files import is_tar

__all__ = ["Data", "modules_for", "open_samples"]

Data = Any  # what open_samples takes


def modules_for(data: Data) -> tuple[str, ...]:
    """The modules of extras that reading the data takes."""
    paths = [data] if isinstance(data, str | PathLike) else data if isinstance(data, list) else []
    named = [one for one in paths if isinstance(one, str | PathLike)]
    tables = [one for one in named if Path(one).suffix.lower() == ".parquet" or (Path(one) / STATE).is_file()]
    urls = [one for one in named if url_of(one) is not None]
    return (*(("pyarrow",) if tables else ()), *(("fsspec",) if urls else ()))


def open_samples(data: Data, model: Model, labels: Labels | None = None) -> Samples:
    """The samples of whatever a user gives; an InputError where there is none."""
    known = labels if labels is not None else labels_of(model)
    if isinstance(data, Samples):
        return data
    if isinstance(data, str | PathLike):
        return _of_inputs([data], model, known)
    if isinstance(data, Sequence) and not isinstance(data, tuple) and all(isinstance(d, str | PathLike) for d in data):
        return _of_inputs(data, model, known)
    if isinstance(data, Sequence) and data and all(isinstance(one, Image.Image) for one in data):
        return Samples(len(data), lambda: (Sample(f"picture {k}", lambda p=p: p) for k, p in enumerate(data)), False)
    return _of_arrays(data, model)


def _of_inputs(given: Sequence[str | PathLike[str]], model: Model, labels: Labels) -> Samples:
    """The samples of files, folders, patterns and URLs, in their order; those of neighbouring files found together."""
    given = [one for each in given for one in _of_pattern(each)]
    parts: list[Samples] = []
    alone = len(given) == 1
    for is_file, group in groupby(given, key=lambda one: _is_plain(one, model, alone)):
        if is_file:
            parts.append(_of_paths([local_path(one) for one in group], model, labels, alone))
        else:
            parts += [_of_many(one, model, labels, alone) for one in group]
    if not parts:
        raise InputError("no data are given; name files, folders or URLs")
    return joined(parts)


def _of_pattern(one: str | PathLike[str]) -> Sequence[str | PathLike[str]]:
    """What a pattern of tables or tar files fits; everything else as it is."""
    if url_of(one) is not None or not glob.has_magic(os.fspath(one)) or local_path(one).exists():
        return [one]
    found = find_files([local_path(one)])
    return found if any(holds_many(file.name) for file in found) else [one]


def _is_plain(one: str | PathLike[str], model: Model, alone: bool) -> bool:
    """Whether this is a file that is one sample, a folder of such files or a pattern."""
    path = local_path(one)
    many = is_run(path) or (is_tar(path.name) and path.is_file())
    return url_of(one) is None and not many and not is_table(path, model, alone)


def _of_many(one: str | PathLike[str], model: Model, labels: Labels, alone: bool) -> Samples:
    if (url := url_of(one)) is not None:
        return url_samples(url, model, alone)
    path = local_path(one)
    if is_run(path):
        return samples_of_run(path, lambda data: _of_inputs(data, model, labels))
    name, whole = path.name if alone else str(path), str(path.absolute())
    return tar_file_samples(whole, name, model) if is_tar(path.name) else table_samples(whole, name, model)


def _of_paths(paths: Sequence[Path], model: Model, labels: Labels, alone: bool) -> Samples:
    files = _labelled_files(paths, labels)
    named = _named_in(paths[0]) if alone and paths[0].is_dir() else _named
    return Samples(
        len(files),
        lambda: (_of_file(file, label, model, named) for file, label in files),
        all(label is not None for _, label in files),
        at=lambda index: _of_file(*files[index], model, named),
    )


def _of_file(file: Path, label: int | None, model: Model, named: Callable[[Path], tuple[str, str]]) -> Sample:
    name, whole = named(file)
    return Sample(name, lambda: read_given(model, file).inputs, label, file, FilePart(whole))


def _named(file: Path) -> tuple[str, str]:
    """The name of a sample and its absolute path."""
    return str(file), str(file.absolute())


def _named_in(top: Path) -> Callable[[Path], tuple[str, str]]:
    """The same for the files of one folder, which are named from there; by their texts, as there may be millions."""
    skipped, whole = len(str(top / "_")) - 1, str(top.absolute() / "_")[:-1]

    def named(file: Path) -> tuple[str, str]:
        name = str(file)[skipped:]
        return name, whole + name

    return named


def _labelled_files(paths: Sequence[Path], labels: Labels) -> list[tuple[Path, int | None]]:
    """Files and labels: those of sub-folders by their names, or in order where the names are no labels of the model."""
    found, folders = find_files(paths), [path for path in paths if path.is_dir()]
    for file in found if len(folders) < len(paths) else ():  # what a folder holds was seen there
        if not file.exists():
            raise InputError(f"{file}: there is no such file or folder")
    known = {part: label for path in folders for part, label in _labels_in(path, labels).items()}
    if not known:
        return [(file, None) for file in found]

    @cache
    def label_in(folder: str) -> int | None:
        inside = Path(folder)
        return next((known[part] for part in (inside, *inside.parents) if part in known), None)

    return [(file, label_in(os.path.dirname(file))) for file in found]  # noqa: PTH120  a Path for each takes as long as a stat


def _labels_in(folder: Path, labels: Labels) -> dict[Path, int]:
    parts = sub_folders(folder)
    classes = _classes([part.name for part in parts], labels)
    return {part: classes[part.name] for part in parts}


def _classes(names: Sequence[str], labels: Labels) -> Mapping[str, int]:
    if not labels and not all(name.isdigit() for name in names):
        return {name: index for index, name in enumerate(names)}
    return {name: _index(name, labels) for name in names}


def _index(name: str, labels: Labels) -> int:
    found = parse_target(name, labels) if names_class(name, labels) else None
    if not isinstance(found, int):
        raise InputError(
            f"sub-folder {name!r} is no class, {label_hint(name, labels)}; name them after labels or indices, or give "
            "the files by a pattern, such as 'photos/**/*.png', for samples without labels"
        )
    return found


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

    return rows_as_samples(ArrayRows(count, each, labels is not None), "sample", Reader(model))
