"""Work on many files, one at a time: one that fails is reported, the others are done, no output overwrites another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from ..errors import InputError, ModelError, OnnxrayError, RuntimeUnavailable
from ..support.writing import disk_is_full, write_text

__all__ = ["Failure", "RowProgress", "Work", "claim_stems", "each_file", "unique_stems"]

INDEX = "sources.json"  # in a folder of results: which file each name stands for

T = TypeVar("T")
RowProgress = Callable[[int, int], None]  # called with rows done and rows in all
Work = Callable[[Path, str, RowProgress | None], Iterator[T]]


@dataclass(frozen=True)
class Failure:
    """A file that could not be done."""

    file: Path
    error: OnnxrayError

    def __str__(self) -> str:
        text = str(self.error)
        return text if str(self.file) in text else f"{self.file}: {text}"


def each_file(
    files: Sequence[Path],
    stems: Sequence[str],
    work: Work[T],
    failed: Callable[[Failure], None],
    step: Callable[[str, float], None],
) -> Iterator[T]:
    """Yields the results of ``work`` for each file and its stem; errors are reported to the callback ``failed``.

    An error that is not about one file (no such layer, no runtime, a full disk) ends the rest, as it would meet every
    one of them.
    """
    for index, (file, stem) in enumerate(zip(files, stems, strict=True)):
        report = partial(_step, step, file.name, index)
        report(0, 1)
        try:
            yield from work(file, stem, report)
        except OnnxrayError as error:
            failed(Failure(file, error))
            if isinstance(error, ModelError | RuntimeUnavailable) or disk_is_full(error):
                return


def _step(step: Callable[[str, float], None], name: str, index: int, rows: int, all_rows: int) -> None:
    step(name, index + rows / all_rows)


def claim_stems(files: Sequence[Path], out: Path) -> list[str]:
    """The stem of each file's results in a folder: its name, numbered where another source has results of that name.

    ``sources.json`` in the folder records whose results are there, so that a source that is run again overwrites its
    own results and no others. An InputError if that file is something else.
    """
    index = out / INDEX
    claims = _read_claims(index)
    stems = unique_stems(files, claims)
    added = {stem: str(file.resolve()) for stem, file in zip(stems, files, strict=True)}
    if added.items() - claims.items():
        write_text(index, json.dumps({**claims, **added}, indent=1, ensure_ascii=False))
    return stems


def unique_stems(files: Iterable[Path], claims: Mapping[str, str] | None = None) -> list[str]:
    """The files' names without suffix, numbered where they would be equal or are claimed by another file."""
    held = {stem.casefold(): source for stem, source in (claims or {}).items()}
    stems: list[str] = []
    taken: set[str] = set()
    for file in files:
        source = str(file.resolve())
        numbered = (f"{file.stem}-{k}" if k > 1 else file.stem for k in count(1))
        stem = next(name for name in numbered if _is_free(name.casefold(), source, taken, held))
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def _is_free(name: str, source: str, taken: set[str], held: Mapping[str, str]) -> bool:
    return name not in taken and held.get(name, source) == source


def _read_claims(index: Path) -> dict[str, str]:
    try:
        held = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{index} cannot be read as the list of sources that results are of; remove it") from error
    if not isinstance(held, dict) or not all(isinstance(source, str) for source in held.values()):
        raise InputError(f"{index} is not the list of sources that results are of; name another folder with --out")
    return held
