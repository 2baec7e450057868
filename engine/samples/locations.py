"""Where the samples of a data set are: small values that another process, or another machine, reads them from."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FilePart", "Location", "TableRow", "stamp_of"]


@dataclass(frozen=True)
class FilePart:
    """A file by its absolute path or URL; or of an archive the member ``name``, bytes ``start`` to ``stop``."""

    file: str
    name: str = ""
    start: int = 0
    stop: int | None = None

    @property
    def source(self) -> str:
        """The file, and the member within it."""
        return f"{self.file}/{self.name}" if self.name else self.file


@dataclass(frozen=True)
class TableRow:
    """A row of a file of arrays or of a table, which had this ``stamp`` when it was listed."""

    file: str
    row: int
    stamp: str = ""

    @property
    def source(self) -> None:
        """None: rows of numbers are no files; what a row names has a source of its own."""
        return


Location = FilePart | TableRow


def stamp_of(file: Path) -> str:
    """Size and time of a local file; of a folder, whose own time says nothing of its files, none."""
    known = file.stat()
    return "" if stat.S_ISDIR(known.st_mode) else f"{known.st_size} {known.st_mtime_ns}"
