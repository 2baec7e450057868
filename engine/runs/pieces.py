"""The pieces of a run in its folder: each is one file, whose name tells the range of samples."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..workers.piece import Piece, cut

__all__ = ["disjoint", "missing", "pieces_in"]

NAME = re.compile(r"(\d{9,})-(\d{9,})\.parquet")


def pieces_in(folder: Path) -> list[Piece]:
    """The pieces that a folder holds files of, in their order."""
    found = (NAME.fullmatch(file.name) for file in folder.iterdir())
    return sorted(Piece(int(one[1]), int(one[2])) for one in found if one)


def disjoint(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces that hold no sample twice: the larger ones, without those inside them.

    A worker that was taken for dead, and its pieces for split, may have written the whole one late.
    """
    found: list[Piece] = []
    for piece in sorted(pieces, key=lambda one: (one.start, -one.stop)):
        if not found or found[-1].stop <= piece.start:
            found.append(piece)
    return found


def missing(count: int, size: int, held: Iterable[Piece]) -> list[Piece]:
    """What of ``count`` samples, in pieces of ``size``, is in none of the pieces that are held."""
    left = []
    for whole in cut(0, count, size):
        start = whole.start
        for one in sorted(piece for piece in held if whole.start <= piece.start < whole.stop):
            left += [Piece(start, one.start)] if start < one.start else []
            start = one.stop
        left += [Piece(start, whole.stop)] if start < whole.stop else []
    return left
