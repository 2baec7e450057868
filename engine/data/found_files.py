"""The files that a command line names: by their paths, by folders, by patterns such as 'photos/*.jpg'."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from ..errors import InputError
from ..support.caller import warn_caller
from ..support.pipes import check_no_pipe
from .files import ARRAYS

__all__ = ["SOURCES", "files_in", "find_files", "model_endings", "sub_folders"]

SOURCES = "sources.json"  # in a folder of results, which is never searched: its pictures are maps
NAMED = 4  # files that a warning names


def find_files(named: Iterable[Path]) -> list[Path]:
    """The files of paths, folders and patterns, in the order in which these are named; of a folder all, by name.

    A path that is no folder stays as it is, also where nothing is there. What folders and patterns find twice is taken
    once. InputError: a pattern that fits nothing, a folder without files that models take, or a named pipe.
    """
    found: list[Path] = []
    taken: set[Path] = set()
    several = list(named)
    for path in several:
        check_no_pipe(path)
        listed = [path] if _is_file(path) else _expanded(path, taken)
        found += listed
        if len(several) > 1:  # the paths of a folder of millions take longer to hash than to list
            taken |= set(listed)
    return found


def files_in(folder: Path) -> list[Path]:
    """The pictures and arrays in a folder and in those below it, those of a folder before those below; by name.

    Hidden files and folders of results are left out; so is, with a warning, what no model takes, by its name's ending.
    InputError: there is none.
    """
    endings, known, others = model_endings(), [], []
    for file in _walk(folder, set()):
        (known if os.path.splitext(file.name)[1].lower() in endings else others).append(file)  # noqa: PTH122  the faster
    if not known:
        raise InputError(f"{folder}: the folder holds no pictures or arrays{' but other files' if others else ''}")
    if others:
        names = ", ".join(file.name for file in others[:NAMED])
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        told = f"{folder}: by their names no pictures or arrays, left out: {names}{more}"
        warn_caller(told)
    return known


def sub_folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name: those that are neither hidden nor hold results."""
    with os.scandir(folder) as entries:  # which knows of most systems what is a folder, without a look at each file
        found = sorted(Path(one.path) for one in entries if one.name[0] != "." and one.is_dir())
    return [one for one in found if not (one / SOURCES).is_file()]


def _is_file(path: Path) -> bool:
    """Whether a path means itself: a file that is there, even under a name like a pattern, or that should be there."""
    return not path.is_dir() and (path.exists() or not glob.has_magic(os.fspath(path)))


def _expanded(path: Path, taken: Collection[Path]) -> list[Path]:
    """The files of a folder or a pattern without those that are taken."""
    found = files_in(path) if path.is_dir() else _fitting(path)
    return [file for file in found if file not in taken] if taken else found


def _fitting(pattern: Path) -> list[Path]:
    fitting = sorted(Path(one) for one in glob.glob(os.fspath(pattern), recursive=True))  # noqa: PTH207  takes a whole pattern
    if not fitting:
        raise InputError(f"{pattern}: no file has a name of this pattern")
    return list(dict.fromkeys(file for one in fitting for file in (files_in(one) if one.is_dir() else [one])))


def _walk(folder: Path, walked: set[str]) -> Iterator[Path]:
    """All files; a folder that links lead to again is walked once."""
    real = os.path.realpath(folder)
    if real in walked:
        return
    walked.add(real)
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if one.name[0] != "." and one.is_file())
    start = str(folder / "_")[:-1]  # as a text, since there may be millions
    yield from (Path(start + name) for name in names)
    for below in sub_folders(folder):
        yield from _walk(below, walked)


@cache
def model_endings() -> frozenset[str]:
    """The endings of names of files that models take: arrays, what Pillow reads, and none."""
    pictures = (ending for ending, name in Image.registered_extensions().items() if name in Image.OPEN)
    return frozenset({"", *ARRAYS, *pictures})
