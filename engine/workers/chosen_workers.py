"""Where the samples of a call are measured: in this process, or by so many workers of an executor."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..methods.checks import check_whole
from ..support.choice import choose
from ..support.processor import this_processor
from .dispatch import Executor
from .executor_named import EXECUTORS, executor_named

__all__ = ["ChosenWorkers", "pickled"]


@dataclass(frozen=True)
class ChosenWorkers:
    """What a user says of workers: nothing means this process alone, and a number means processes of this machine."""

    executor: str | None = None
    workers: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.executor is not None:
            choose(self.executor, EXECUTORS, "executor")
        if self.workers is not None:
            check_whole("workers", self.workers, 0)

    @property
    def here(self) -> bool:
        """Whether there are none but this process."""
        return self.workers == 0 or (self.workers is None and self.executor is None and self.address is None)

    def threads(self, given: int | None) -> int | None:
        """Those of each worker: as given, or the cores of this machine divided; one on a cluster."""
        if given is not None or self.here:
            return given
        cores = this_processor().cores
        return max(1, cores // (self.workers or cores)) if self.executor in (None, "process") else 1

    def opened(self, threads: int | None, most: int) -> Executor:
        """The executor, whose workers have so many threads each."""
        return executor_named(self.executor or "process", self.workers, threads or 1, self.address, most)


def pickled(what: Any) -> bytes:
    """As workers get it; an InputError of a function that they could not find."""
    try:
        return pickle.dumps(what)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(f"workers cannot be given target and options: {error}; name no lambda") from error
