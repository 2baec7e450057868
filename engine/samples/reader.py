"""Reads samples from their locations: what an Explainer takes, and a digest of the bytes that were read."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.files import is_picture, read_given
from ..data.pictures import opened_picture
from ..errors import InputError
from ..graph.model import Model
from ..support.fingerprint import file_digest, fingerprint
from .array_files import RowCursor
from .locations import FilePart, Location, stamp_of
from .tables import table_rows

__all__ = ["Content", "DataChanged", "Reader"]

TABLES = 4  # that stay open


class DataChanged(InputError):
    """A file is another than the one that was listed: no row of it is what it was."""


@dataclass(frozen=True)
class Content:
    """What a sample holds, as an ``Explainer`` takes it, and the digest of its bytes or of its numbers."""

    given: Any
    digest: str


@dataclass
class Reader:
    """Reads for one model, and keeps the last tables open."""

    model: Model
    tables: dict[tuple[str, str], RowCursor] = field(default_factory=dict)

    def read(self, location: Location) -> Content:
        """The sample; InputError where it cannot be read, DataChanged where its table is another."""
        if isinstance(location, FilePart):
            return self._file(location)
        given = self._table(location.file, location.stamp).at(location.row)[0]()
        return Content(given, fingerprint(given))

    def _file(self, part: FilePart) -> Content:
        path = Path(part.file)
        if not is_picture(path):
            return Content(read_given(self.model, path).inputs, file_digest(path))
        held = _bytes(path)
        return Content(opened_picture(io.BytesIO(held), part.source), hashlib.sha256(held).hexdigest())

    def _table(self, file: str, stamp: str) -> RowCursor:
        if (file, stamp) not in self.tables:
            if stamp_of(Path(file)) != stamp:
                raise DataChanged(f"the data changed since the run began: {file} is another file now")
            if len(self.tables) >= TABLES:
                self.tables.pop(next(iter(self.tables)))
            self.tables[file, stamp] = RowCursor(table_rows(Path(file), self.model))
        return self.tables[file, stamp]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read as a picture: {error.strerror or error}") from error
