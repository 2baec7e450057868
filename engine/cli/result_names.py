"""The names of results in a folder: of two sources never the same, in one run or in several."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from ..data.found_files import SOURCES
from ..errors import InputError
from ..support.folder_lock import folder_lock
from ..support.writing import write_text, writing

__all__ = ["Claim", "claim_stems"]

_EXAMPLE = re.compile(
    r"(-(row|box)\d+)+$"
)  # what the results of one of several examples of a file have behind its stem


@dataclass(frozen=True)
class Claim:
    """A file, the stem of its results, and its path without links."""

    file: Path
    stem: str
    source: str


def claim_stems(files: Sequence[Path], out: Path) -> list[Claim]:
    """The stem of each file's results in a folder: its name, numbered where another source has results of that name.

    ``sources.json`` in the folder records whose results are there, so that a source that is run again overwrites its
    own results and no others. An InputError if that file is something else.
    """
    index = out / SOURCES
    with writing(out), folder_lock(out):
        claims = _read_claims(index)
        found = _claimed(files, claims)
        added = {one.stem: one.source for one in found}
        if added.items() - claims.items():
            write_text(index, json.dumps({**claims, **added}, indent=1, ensure_ascii=False))
    return found


def _claimed(files: Iterable[Path], claims: Mapping[str, str]) -> list[Claim]:
    """The files with the stems that are theirs already, or with their names, numbered where another has the name."""
    own: dict[str, list[str]] = {}
    names = _Names()
    for stem, source in claims.items():
        own.setdefault(source, []).append(stem)
        names.take(stem)
    found = []
    for file in files:
        source = str(file.resolve())
        again = own.get(source)
        found.append(Claim(file, again.pop(0) if again else names.fresh(file.stem), source))
    return found


@dataclass
class _Names:
    """The names that are taken, whatever their case; ``wholes``: those of files of which an example's name is taken."""

    taken: set[str] = field(default_factory=set)
    wholes: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)

    def fresh(self, stem: str) -> str:
        for k in count(self.numbers.get(stem.casefold(), 1)):
            name = f"{stem}-{k}" if k > 1 else stem
            if self._is_free(name.casefold()):
                self.numbers[stem.casefold()] = k + 1
                self.take(name)
                return name
        raise AssertionError  # there is always a next number

    def take(self, name: str) -> None:
        self.taken.add(name.casefold())
        if (whole := _EXAMPLE.sub("", name.casefold())) != name.casefold():
            self.wholes.add(whole)

    def _is_free(self, name: str) -> bool:
        """Neither this name nor that of an example of it, nor of a whole of which this would be an example."""
        return name not in self.taken and name not in self.wholes and _EXAMPLE.sub("", name) not in self.taken


def _read_claims(index: Path) -> dict[str, str]:
    try:
        held = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{index} cannot be read as the list of sources that results are of; remove it") from error
    if not isinstance(held, dict) or not all(isinstance(source, str) for source in held.values()):
        raise InputError(f"{index} is not the list of sources that results are of; name another folder with --out")
    return held
