"""The samples of one input of a data set: a table, a tar file, files behind a URL; and those of several inputs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from ..data.found_files import model_endings
from ..errors import InputError
from ..graph.model import Model
from .array_files import ArrayRows
from .locations import FilePart, TableRow, stamp_of
from .reader import Reader
from .remote import full_url, listed_urls
from .sample import Sample, Samples
from .tables import holds_many, is_table_name, table_rows, table_stamp
from .tar_files import is_tar, tar_samples

__all__ = ["joined", "listed", "rows_as_samples", "table_samples", "tar_file_samples", "url_samples"]


def table_samples(file: str, name: str, model: Model, stamp: str | None = None) -> Samples:
    """The rows of a table, by absolute path or URL."""
    known = table_stamp(Path(file)) if stamp is None else stamp
    rows, reader = table_rows(file, model, known), Reader(model)

    def at(index: int) -> Sample:
        def load() -> Any:
            return reader.given(next(rows.each(index))[0]())

        return Sample(f"{name}:{index}", load, location=TableRow(file, index, known), stamp=known)

    return rows_as_samples(rows, name, reader, at)


def rows_as_samples(rows: ArrayRows, name: str, reader: Reader, at: Callable[[int], Sample] | None = None) -> Samples:
    """Rows as samples called by their index; an InputError where there is none."""

    def each() -> Iterator[Sample]:
        for index, (load, label) in enumerate(rows.each(0)):
            yield Sample(f"{name}:{index}", lambda load=load: reader.given(load()), label)

    if not rows.count:
        raise InputError(f"{name} holds no samples")
    return Samples(rows.count, each, rows.labelled, at=at)


def tar_file_samples(file: str, name: str, model: Model, stamp: str | None = None) -> Samples:
    """The members of a tar file, by absolute path or URL."""
    known = stamp_of(Path(file)) if stamp is None else stamp
    read = Reader(model).read
    return listed(
        [
            Sample(f"{name}/{one.part.name}", partial(_given, read, one.part), one.label, None, one.part, known)
            for one in tar_samples(file)
        ]
    )


def url_samples(url: str, model: Model, alone: bool) -> Samples:
    """What is behind a URL: files, tables and tar files, found in a folder or by a pattern; InputError: nothing."""
    folder, read, parts, pictures = full_url(url).rstrip("/") + "/", Reader(model).read, [], []
    found = listed_urls(url)
    for file, stamp in found.items():
        name = file.removeprefix(folder) if alone else file
        if is_tar(file):
            parts.append(tar_file_samples(file, name, model, stamp))
        elif is_table_name(file) and (len(found) == 1 or holds_many(file)):
            parts.append(table_samples(file, name, model, stamp))
        elif Path(file).suffix.lower() in model_endings():
            part = FilePart(file)
            pictures.append(Sample(name, partial(_given, read, part), location=part, stamp=stamp))
    if pictures:
        parts.append(listed(pictures))
    if not parts:
        raise InputError(f"{url} holds no pictures or arrays")
    return joined(parts)


def listed(samples: Sequence[Sample]) -> Samples:
    """Samples that are known one by one."""
    labelled = all(one.label is not None for one in samples)
    return Samples(len(samples), lambda: iter(samples), labelled, at=samples.__getitem__)


def joined(parts: Sequence[Samples]) -> Samples:
    """The samples of all parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    ends = list(accumulate(part.count for part in parts))
    finders = [part.at for part in parts if part.at is not None]  # that all have, as all are in files

    def at(index: int) -> Sample:
        part = bisect_right(ends, index)
        return finders[part](index - (ends[part - 1] if part else 0))

    labelled = all(part.labelled for part in parts)
    return Samples(ends[-1], lambda: chain.from_iterable(parts), labelled, at=at)


def _given(read: Callable[[Any], Any], part: FilePart) -> Any:
    return read(part).given
