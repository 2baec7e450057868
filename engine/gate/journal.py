"""The journal of a comparison: one JSON line per finished sample, so that an interrupted run continues."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ..errors import InputError
from ..samples.sample import Sample
from ..support.schema import Struct, decoded, typed
from ..support.writing import write_text, writing
from .summary import Row

__all__ = ["Journal", "open_journal"]


class _Key(Struct):
    index: int
    mark: str


@dataclass
class Journal:
    """Rows by index and mark of their sample; a new one is written at once."""

    done: dict[tuple[int, str], Row] = field(default_factory=dict)
    file: TextIO | None = None

    def row(self, index: int, sample: Sample, measure: Callable[[Sample], Row]) -> Row:
        """The row of a sample, which is measured and written if the journal has it not."""
        if (held := self.held(index, sample)) is not None:
            return held
        row = measure(sample)
        self.keep(index, sample, row)
        return row

    def held(self, index: int, sample: Sample) -> Row | None:
        """The row of a sample, if the journal has it."""
        return None if self.file is None else self.done.get((index, sample.mark))

    def keep(self, index: int, sample: Sample, row: Row) -> None:
        """Writes the row of a sample."""
        if self.file is None:
            return
        with writing(self.file.name):
            self.file.write(_line((index, sample.mark), row))
            self.file.flush()


@contextmanager
def open_journal(path: Path | None, about: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal at a path, with what it holds of a run with the same settings; of others it is begun anew."""
    if path is None:
        yield Journal()
        return
    head = json.dumps({"comparison": about}, sort_keys=True, default=str)
    done = _read(path, head)
    write_text(path, "".join([head + "\n", *(_line(key, row) for key, row in done.items())]))
    with ExitStack() as stack:
        with writing(path):
            file = stack.enter_context(path.open("a", encoding="utf-8"))
        yield Journal(done, file)


def _line(key: tuple[int, str], row: Row) -> str:
    return json.dumps({"index": key[0], "mark": key[1], **asdict(row)}) + "\n"


def _read(path: Path, head: str) -> dict[tuple[int, str], Row]:
    """The rows of whole lines; the last one may have been cut off."""
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    found = {}
    for line in lines if first == head else ():
        try:
            record = decoded(line, dict[str, Any], str(path), InputError)
            key = typed(record, _Key, str(path), InputError)
            found[key.index, key.mark] = typed(record, Row, str(path), InputError)
        except InputError:
            break
    return found
