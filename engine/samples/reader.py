"""Reads samples from their locations: what an Explainer takes, and a digest of the bytes that were read."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.files import is_picture, read_given
from ..data.pictures import opened_picture
from ..errors import InputError
from ..graph.model import Model
from ..support.fingerprint import file_digest, fingerprint
from .array_files import RowCursor
from .locations import FilePart, Location
from .record_columns import Held
from .remote import url_bytes, url_of
from .tables import table_rows, table_stamp

__all__ = ["Content", "DataChanged", "Reader"]

TABLES = 4  # that stay open


class DataChanged(InputError):
    """A file is another than the one that was listed: no row of it is what it was."""


@dataclass(frozen=True)
class Content:
    """What a sample holds, as an ``Explainer`` takes it, the digest of its bytes or of its numbers, and its file."""

    given: Any
    digest: str
    source: str | None


class _Tables(threading.local):
    """Those that a thread has open: a walk through rows is of one thread."""

    def __init__(self) -> None:
        self.opened: dict[tuple[str, str], RowCursor] = {}


@dataclass
class Reader:
    """Reads for one model, and keeps the last tables of each thread open."""

    model: Model
    tables: _Tables = field(default_factory=_Tables)

    def read(self, location: Location) -> Content:
        """The sample; InputError where it cannot be read, DataChanged where its table is another."""
        if isinstance(location, FilePart):
            return self._file(location)
        return self.content(self._table(location.file, location.stamp).at(location.row)[0]())

    def content(self, held: Any) -> Content:
        """What a row of a table holds: arrays, the bytes of a file, or where a file is."""
        if isinstance(held, FilePart):
            return self._file(held)
        if isinstance(held, Held):
            return self._decoded(held.content, held.name)
        return Content(held, fingerprint(held), None)

    def given(self, held: Any) -> Any:
        """The same, without its digest."""
        return self.content(held).given if isinstance(held, FilePart | Held) else held

    def _file(self, part: FilePart) -> Content:
        source = part.source
        if not part.name and not is_picture(source) and url_of(part.file) is None:
            path = Path(part.file)
            return Content(read_given(self.model, path).inputs, file_digest(path), source)
        return self._decoded(_bytes(part), source)

    def _decoded(self, held: bytes, source: str) -> Content:
        digest = hashlib.sha256(held).hexdigest()
        if is_picture(source):
            return Content(opened_picture(io.BytesIO(held), source), digest, source)
        with tempfile.TemporaryDirectory(prefix="onnxray-") as folder:
            file = Path(folder) / Path(source).name
            file.write_bytes(held)
            try:
                return Content(read_given(self.model, file).inputs, digest, source)
            except InputError as error:
                raise InputError(str(error).replace(str(file), source)) from error

    def _table(self, file: str, stamp: str) -> RowCursor:
        opened = self.tables.opened
        if (file, stamp) not in opened:
            if url_of(file) is None and table_stamp(Path(file)) != stamp:
                raise DataChanged(f"the data changed since the run began: {file} is another file now")
            if len(opened) >= TABLES:
                opened.pop(next(iter(opened)))
            opened[file, stamp] = RowCursor(table_rows(file, self.model, stamp))
        return opened[file, stamp]


def _bytes(part: FilePart) -> bytes:
    if url_of(part.file) is not None:
        return url_bytes(part.file, part.start, part.stop)
    try:
        with open(part.file, "rb") as stream:  # noqa: PTH123  a Path takes a tenth of the time of a small picture
            stream.seek(part.start)
            return stream.read(-1 if part.stop is None else part.stop - part.start)
    except OSError as error:
        raise InputError(f"{part.source} cannot be read as a picture: {error.strerror or error}") from error
