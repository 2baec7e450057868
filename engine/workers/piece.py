"""Ranges of samples, each one task of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Piece", "cut"]


@dataclass(frozen=True, order=True)
class Piece:
    """The samples from ``start`` up to, but without, ``stop``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def file(self) -> str:
        """The name of the file of a run that holds its rows."""
        return f"{self.start:09}-{self.stop:09}.parquet"

    def split(self, batch: int) -> list[Piece]:
        """Its batches; of one batch, its samples."""
        return list(cut(self.start, self.stop, batch if len(self) > batch else 1))


def cut(start: int, stop: int, size: int) -> Iterator[Piece]:
    """Pieces of so many samples, the last of fewer."""
    return (Piece(k, min(k + size, stop)) for k in range(start, stop, size))
