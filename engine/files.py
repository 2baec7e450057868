"""Work on many files, one at a time: one that fails is reported, the others are done, no output overwrites another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from .errors import ModelError, OnnxrayError, RuntimeUnavailable
from .writing import disk_is_full

__all__ = ["Failure", "Rows", "Work", "each_file", "unique_stems"]

T = TypeVar("T")
Rows = Callable[[int, int], None]  # hears of rows done and rows in all
Work = Callable[[Path, str, Rows | None], Iterator[T]]


@dataclass(frozen=True)
class Failure:
    """A file that could not be done."""

    file: Path
    error: OnnxrayError

    def __str__(self) -> str:
        text = str(self.error)
        return text if str(self.file) in text else f"{self.file}: {text}"


def each_file(
    files: Sequence[Path], work: Work[T], failed: Callable[[Failure], None], step: Callable[[str, float], None]
) -> Iterator[T]:
    """What ``work`` yields for each file and its unique stem; ``failed`` hears of those that raise.

    An error that is not about one file (no such layer, no runtime, a full disk) ends the rest, as it would meet every
    one of them.
    """
    for index, (file, stem) in enumerate(zip(files, unique_stems(files), strict=True)):
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


def unique_stems(files: Iterable[Path]) -> list[str]:
    """The files' names without suffix, numbered where they would be equal, so that no output overwrites another."""
    stems: list[str] = []
    taken: set[str] = set()
    for file in files:
        numbered = (f"{file.stem}-{k}" if k > 1 else file.stem for k in range(1, len(stems) + 2))
        stem = next(name for name in numbered if name.casefold() not in taken)
        taken.add(stem.casefold())
        stems.append(stem)
    return stems
