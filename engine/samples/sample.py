"""Samples, read one after another, so that memory does not grow with their number."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .locations import Location

__all__ = ["Sample", "Samples"]


@dataclass(frozen=True)
class Sample:
    """One input: ``load`` reads it when its turn comes, as a picture or as arrays of one example.

    ``location`` is where another process finds it, of what is in files; ``stamp`` tells the file of a table, a tar file
    or a URL from a later one.
    """

    name: str
    load: Callable[[], Any]
    label: int | None = None
    path: Path | None = None
    location: Location | None = None
    stamp: str = ""

    def required_label(self) -> int:
        """The label of a sample whose class is explained; an InputError where it has none."""
        if self.label is None:
            raise InputError("it has no label, which target 'label' needs")
        return self.label

    @property
    def mark(self) -> str:
        """The identity of a sample besides its name: its label, and its file's size and time or its numbers."""
        if self.path is not None:
            file = self.path.stat()
            return f"{self.label} {self.path.resolve()} {file.st_size} {file.st_mtime_ns}"
        given = self.load()
        code = 0
        for array in given.values() if isinstance(given, Mapping) else [given]:
            code = zlib.crc32(np.asarray(array).tobytes(), code)
        return f"{self.label} {code:08x}"


@dataclass(frozen=True)
class Samples:
    """Samples that can be gone through again and again; ``kept`` are the indices of those that were drawn.

    ``at`` gives name and location of one sample by its index, of samples in files.
    """

    count: int
    each: Callable[[], Iterator[Sample]]
    labelled: bool
    kept: frozenset[int] | None = None
    at: Callable[[int], Sample] | None = None

    def __len__(self) -> int:
        return self.count if self.kept is None else len(self.kept)

    def __iter__(self) -> Iterator[Sample]:
        kept = self.kept
        return (sample for index, sample in enumerate(self.each()) if kept is None or index in kept)

    def locations(self, start: int, stop: int) -> list[Location]:
        """Where samples in files are, from one index up to another; an InputError of others."""
        found = [self.at(index).location for index in range(start, stop)] if self.at is not None else [None]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            raise InputError("samples in memory have no location; give files")
        return known

    def listed(self) -> Iterator[Sample]:
        """All samples by name and location, without a walk through their files where there is none."""
        return map(self.at, range(self.count)) if self.at is not None and self.kept is None else iter(self)

    def located(self) -> Iterator[Sample]:
        """The same as a walk through them, each with its location, of those in files."""
        places = range(self.count) if self.kept is None else sorted(self.kept)
        at = self.at
        for index, sample in zip(places, self, strict=True):
            yield sample if at is None else replace(sample, location=at(index).location)

    def drawn(self, number: int | None, seed: int) -> Samples:
        """So many of them at random, the same ones for the same seed, in their order; all where there are no more."""
        if number is None or number >= len(self):
            return self
        if number < 1:
            raise InputError(f"samples={number}: give a number from 1 up")
        among = np.arange(self.count) if self.kept is None else np.sort(list(self.kept))
        chosen = np.random.default_rng(seed).choice(among, number, replace=False)
        return replace(self, kept=frozenset(chosen.tolist()))
