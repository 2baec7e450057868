"""What is warned of while the chunks of a recording are explained, each chunk's told with its number."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..data.chunks import Chunks
from ..support.caller import warn_caller

__all__ = ["ChunkWarnings"]

NAMED = 3  # chunks that a warning names


@dataclass(frozen=True)
class ChunkWarnings:
    """The warnings of each chunk, by text and category with the chunks that have them; ``rate``: samples a second."""

    chunks: Chunks
    rate: float | None
    heard: dict[tuple[str, type[Warning]], list[int]] = field(default_factory=dict)

    @contextmanager
    def of(self, k: int) -> Iterator[None]:
        """Keeps what is warned of in the block, which is about chunk ``k``."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            yield
        for one in told:
            found = self.heard.setdefault((str(one.message), one.category), [])
            found += [k] if k not in found else []

    def tell(self, only: int | None = None) -> None:
        """Warns once of each: what all chunks share as it is, else with the chunks; ``only`` of one chunk's."""
        for (text, category), found in self.heard.items():
            if only is None:
                warn_caller(text if len(found) == len(self.chunks) else f"{self._named(found)}: {text}", category)
            elif only in found:
                warn_caller(text, category)

    def _named(self, found: list[int]) -> str:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        return f"{', '.join(map(self._name, found[:NAMED]))}{more} of {len(self.chunks)} chunks"

    def _name(self, k: int) -> str:
        start = max(self.chunks.start(k), 0)
        return f"chunk {k} (from {f'sample {start}' if self.rate is None else f'{start / self.rate:.4g} s'})"
