"""Times of several sides that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .settings import CLOCKS, Settings

__all__ = ["Times", "take_turns"]


@dataclass(frozen=True)
class Times:
    """The times of one side, in seconds, a run in each turn."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def as_json(self) -> dict[str, Any]:
        """Milliseconds: the median and the quartiles."""
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        told = {"median": self.median, "lower_quartile": low, "upper_quartile": high}
        return {name: float(f"{1e3 * value:.4g}") for name, value in told.items()} | {"runs": len(self.seconds)}


def take_turns(sides: Mapping[str, Callable[[], Any]], settings: Settings) -> dict[str, Times]:
    """One run of each side in each turn; each has run before, so that nothing is built or compiled any more.

    A pause precedes each run: the threads of the side before wait actively for a while before they sleep. The clock
    "processor" counts the seconds that all threads of the process worked.
    """
    clock = CLOCKS[settings.clock]
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    least, most = settings.turns
    until = time.perf_counter() + settings.seconds
    for turn in range(most):
        if turn >= least and time.perf_counter() > until:
            break
        for name, side in sides.items():
            time.sleep(settings.pause)
            start = clock()
            side()
            seconds[name].append(clock() - start)
    return {name: Times(values) for name, values in seconds.items()}
