"""Requests that are run together: those that may share a run wait for each other a short time, then one thread runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from .limits import Limits

__all__ = ["Batcher", "Stopped", "Work"]


class Work(Protocol):
    """What a request asks of a model: works of one ``key`` may share a run, one without a key runs alone."""

    @property
    def key(self) -> Hashable | None: ...

    @property
    def rows(self) -> int: ...


W = TypeVar("W", bound=Work)
R = TypeVar("R")

# Runs works in a thread, and gives a result or an exception for each; asks now and then whether anyone still waits.
Run = Callable[[Sequence[W], Callable[[], bool]], Sequence[R | Exception]]


class Stopped(Exception):
    """Nobody waits for the run any more."""


@dataclass(eq=False)
class _Waiting(Generic[W, R]):
    work: W
    result: asyncio.Future[R]
    until: float  # when it waits for others no longer


@dataclass(eq=False)
class Batcher(Generic[W, R]):
    """A queue before one thread. Its callers bound its length; one that is cancelled leaves it at once."""

    run: Run[W, R]
    limits: Limits
    _waiting: list[_Waiting[W, R]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "model"))
    _loop: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        """Begins to run what comes."""
        self._loop = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Ends the thread, after the run in hand."""
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
        await asyncio.to_thread(self._thread.shutdown)

    async def __call__(self, work: W, delay: float | None = None) -> R:
        """The result of a work, or its exception; it waits for others ``delay`` seconds, by default the limit's."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (self.limits.delay if delay is None else delay)
        one = _Waiting[W, R](work, loop.create_future(), until)
        self._waiting.append(one)
        self._changed.set()
        try:
            return await one.result
        finally:
            if one in self._waiting:
                self._waiting.remove(one)

    async def _serve(self) -> None:
        while True:
            batch = await self._next()
            works = [one.work for one in batch]
            waits = [one.result for one in batch]
            try:
                results = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self.run, works, lambda waits=waits: all(one.done() for one in waits)
                )
            except Exception as error:  # noqa: BLE001  each of them is told
                results = [error] * len(batch)
            for one, result in zip(waits, results, strict=True):
                if not one.done():
                    one.set_exception(result) if isinstance(result, Exception) else one.set_result(result)

    async def _next(self) -> list[_Waiting[W, R]]:
        """The works to run: those that share a run with the oldest, when they fill it or the oldest waited enough."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            batch, full = self._sharing()
            left = batch[0].until - loop.time() if batch else None
            if left is not None and (full or left <= 0):
                self._waiting = [one for one in self._waiting if one not in batch]
                return batch
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _sharing(self) -> tuple[list[_Waiting[W, R]], bool]:
        """The oldest work with those that share its run, as many as fit; and whether no more would."""
        if not self._waiting:
            return [], False
        first, *others = self._waiting
        batch, rows = [first], first.work.rows
        if first.work.key is None or rows >= self.limits.batch:
            return batch, True
        for one in others:
            if one.work.key == first.work.key:
                if rows + one.work.rows > self.limits.batch:
                    return batch, True
                batch.append(one)
                rows += one.work.rows
        return batch, rows >= self.limits.batch
