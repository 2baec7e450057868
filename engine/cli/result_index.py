"""``index.jsonl`` in a folder of results: one line for each example that was explained, one for a file that failed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..support.json_text import json_text
from ..support.schema import Struct, decoded, typed
from ..support.writing import writing
from .file_batch import Failure, FileTask

__all__ = ["INDEX", "ResultIndex", "open_index"]

INDEX = "index.jsonl"
START = '{"source": '  # of every line
LEFT_OUT = ("features",)  # of a record: every column of a table again


class _Line(Struct):
    """A line of the index, as far as it is read."""

    source: str
    digest: str
    settings: str
    method: str
    files: list[str] = []  # noqa: RUF012  msgspec copies it
    example: int = 0
    examples: int = 1
    error: str | None = None


@dataclass
class _Held:
    """The last results of a source: by which settings, of which content, in which files; how many examples miss."""

    settings: str
    digest: str
    files: list[str]
    missing: int


@dataclass
class ResultIndex:
    """The index of a folder, to which lines are appended; ``held`` are the results that it lists, by source."""

    file: Path
    stream: FileIO
    settings: str
    method: str
    held: Mapping[str, _Held]
    _records: list[dict[str, Any]] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)

    def has(self, task: FileTask) -> bool:
        """Whether all results of a file's content by these settings are listed, and are there."""
        held = self.held.get(task.source)
        if held is None or held.missing or (held.settings, held.digest) != (self.settings, task.digest):
            return False
        return all(_is_there(self.file.parent / name) for name in held.files)

    def add(self, record: Mapping[str, Any]) -> None:
        """An example of the file at work, as --json prints it."""
        self._records.append({key: value for key, value in record.items() if key not in LEFT_OUT})

    def finish(self, task: FileTask) -> None:
        """All examples of a file are explained."""
        records, self._records = self._records, []
        for k, record in enumerate(records):
            files = [Path(name).name for name in record["files"]]
            self._append(task, {"example": k, "examples": len(records), **record, "files": files})

    def fail(self, failure: Failure) -> None:
        """A file could not be explained, or not to its end."""
        self.finish(failure.task)
        self._append(failure.task, {"method": self.method, "files": [], "error": str(failure.error)})

    def flush(self) -> None:
        """Appends whole lines, so that other processes may do so, too."""
        content, self._lines = "".join(self._lines).encode("utf-8", "backslashreplace"), []
        with writing(self.file):
            while content:
                content = content[self.stream.write(content) or 0 :]

    def _append(self, task: FileTask, rest: Mapping[str, Any]) -> None:
        known = {"source": task.source, "digest": task.digest, "settings": self.settings}
        self._lines.append(json_text(known | dict(rest), ensure_ascii=False) + "\n")


@contextmanager
def open_index(out: Path, method: str, settings: str, resume: bool) -> Iterator[ResultIndex]:
    """The index of a folder of results; with ``resume`` it knows which results are there.

    A last line that was cut off is ended. InputError: a file of that name is something else.
    """
    file = out / INDEX
    next(_lines(file), None)
    held = _read(file, method) if resume else {}
    other = sum(one.settings != settings for one in held.values())
    if other:
        told = f"{file}: {other} of {len(held)} files were explained by other settings, models or releases"
        warnings.warn(f"{told}; they are explained again where they are named", UserWarning, stacklevel=3)
    with writing(file):
        stream = FileIO(file, "a+")
        torn = stream.tell() and stream.seek(-1, os.SEEK_END) and stream.read(1) != b"\n"
    with stream:
        index = ResultIndex(file, stream, settings, method, held)
        index._lines += ["\n"] if torn else []
        yield index


def _read(file: Path, method: str) -> dict[str, _Held]:
    """The last results of each source by a method; of lines that were cut off nothing is read."""
    held: dict[str, _Held] = {}
    for line in _lines(file):
        if line.method != method:
            continue
        if line.error is not None or line.example == 0:
            held[line.source] = _Held(line.settings, line.digest, [], line.examples)
        if line.error is None and line.source in held:
            held[line.source].files += line.files
            held[line.source].missing -= 1
    return held


def _lines(file: Path) -> Iterator[_Line]:
    """Its lines but those that were cut off; an InputError where there is another one."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as stream:
            for text in filter(str.strip, stream):
                try:
                    yield typed(decoded(text, dict[str, Any], str(file), InputError), _Line, str(file), InputError)
                except InputError as error:
                    if not text.startswith(START[: len(text)]):
                        told = f"{file} is not the index of results that onnxray keeps there; name another folder"
                        raise InputError(f"{told} with --out") from error
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _is_there(file: Path) -> bool:
    """A power failure may leave a name without content."""
    return file.is_file() and file.stat().st_size > 0
