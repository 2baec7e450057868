"""What was measured of samples, and which of them were lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..errors import InputError
from .outcomes import Outcome
from .record import Failed
from .sample_warnings import SampleWarnings

__all__ = ["measured_of"]

T = TypeVar("T")


def measured_of(
    outcomes: Iterable[Outcome[T]], failed: Callable[[Failed], None]
) -> tuple[tuple[T, ...], tuple[Failed, ...]]:
    """What was measured of the samples, and the samples that failed, with each of which ``failed`` is called.

    Warnings are told once, at the end. Raises InputError if every sample failed.
    """
    found: list[T] = []
    losses: list[Failed] = []
    told = SampleWarnings()
    for one in outcomes:
        told.add(one.name, one.said)
        if isinstance(one.found, Failed):
            losses.append(one.found)
            failed(one.found)
        else:
            found.append(one.found)
    told.warn()
    if not found:
        raise InputError(f"none of {len(losses)} samples could be measured; the first: {losses[0] if losses else '-'}")
    return tuple(found), tuple(losses)
