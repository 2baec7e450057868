"""Warnings of samples, once each at the end, with the names of their samples and the model that they are of."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..support.caller import warn_caller

__all__ = ["Said", "SampleWarnings", "noted", "warnings_of"]

NAMED = 3  # samples that a warning names
Said = tuple[type[Warning], str]


@dataclass(frozen=True)
class SampleWarnings:
    """What was warned of, with the samples that it was said of."""

    samples: dict[Said, list[str]] = field(default_factory=dict)

    def add(self, sample: str, said: Iterable[Said]) -> None:
        """Keeps the warnings of one sample; those of one that failed, too."""
        for one in said:
            self.samples.setdefault(one, []).append(sample)

    def warn(self) -> None:
        """Each warning once, at the caller's line."""
        for (category, text), names in self.samples.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            warn_caller(f"{', '.join(names[:NAMED])}{more}: {text}", category)


@contextmanager
def noted() -> Iterator[list[Said]]:
    """What is warned of within, each once; the list is filled at the end."""
    said: list[Said] = []
    told: list[warnings.WarningMessage] = []
    try:
        with _recorded() as told:
            yield said
    finally:
        said += dict.fromkeys((one.category, str(one.message)) for one in told)


@contextmanager
def warnings_of(side: str) -> Iterator[None]:
    """Puts the side in front of what is warned of: reference or candidate."""
    told: list[warnings.WarningMessage] = []
    try:
        with _recorded() as told:
            yield
    finally:
        for one in told:
            warn_caller(f"{side}: {one.message}", one.category)


@contextmanager
def _recorded() -> Iterator[list[warnings.WarningMessage]]:
    """Every warning, also one that was told before."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield told
