"""What of a public call is onnxruntime's own run, and the same run with inputs and outputs bound to the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnxray.runtime import Session

__all__ = ["Run", "Watch", "bound", "watched"]


@dataclass(frozen=True, eq=False)
class Run:
    """A run of a session: its arguments, and its seconds."""

    session: Session
    feeds: Mapping[str, np.ndarray]
    outputs: Sequence[str]
    seconds: float

    @property
    def rows(self) -> int:
        return len(next(iter(self.feeds.values())))


@dataclass(frozen=True)
class Watch:
    """The runs of all sessions, in their order."""

    runs: list[Run] = field(default_factory=list)


@contextmanager
def watched(clock: Callable[[], float] = time.perf_counter) -> Iterator[Watch]:
    """Sessions run under a stopwatch meanwhile."""
    watch, run = Watch(), Session.run

    def timed(
        self: Session, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        start = clock()
        results = run(self, feeds, outputs)
        watch.runs.append(Run(self, feeds, list(results), clock() - start))
        return results

    Session.run = timed
    try:
        yield watch
    finally:
        Session.run = run


def bound(one: Run) -> Callable[[], Any]:
    """The same run again, whose inputs lie on the CUDA device before it and whose outputs stay there."""
    from onnxruntime import OrtValue

    binding = one.session.native.io_binding()
    for name, array in one.feeds.items():
        binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array, "cuda", 0))
    for name in one.outputs:
        binding.bind_output(name, "cuda", 0)

    def run() -> Any:
        one.session.native.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding

    return run
