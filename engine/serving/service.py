"""The models of a service, each with its room, its queue and its thread; what answers a request about one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from ..attribution.result import Attribution
from ..errors import OnnxrayError
from .batcher import Batcher, Stopped
from .instances import Part
from .limits import Limits
from .metrics import Metrics
from .request_refusal import Refusal
from .room import Room, unless_gone
from .served_model import ServedModel
from .targets import Wanted, wanted
from .warm_up import warm_up
from .work import Explain, Predict, Runner

__all__ = ["Entry", "Service", "off_loop"]

T = TypeVar("T")
SMALL = 32 * 1024  # bytes, or numbers, that are worked on without a thread of their own
log = logging.getLogger("onnxray.serving")


async def off_loop(size: int, call: Callable[..., T], *arguments: Any) -> T:
    """Calls what takes longer the more there is of it: in another thread, where there is much."""
    return call(*arguments) if size <= SMALL else await asyncio.to_thread(call, *arguments)


@dataclass(eq=False)
class Entry:
    """A model that is served, with the requests that wait for it."""

    model: ServedModel
    room: Room
    batcher: Batcher[Any, Any]
    ready: bool = False

    async def predict(self, parts: Sequence[Part]) -> list[Mapping[str, np.ndarray]]:
        """The outputs of each part."""
        return list(await asyncio.gather(*(self.batcher(Predict(self.model, part.given)) for part in parts)))

    async def explain(
        self, parts: Sequence[Part], method: str | None, said: Any
    ) -> list[tuple[Part, Attribution, Wanted]]:
        """The maps of each part, and their target."""
        method = self.method(method)
        looks = len(self.model.labels) * (len(said) if isinstance(said, list | str) else 1)
        targets = await off_loop(looks, self._targets, parts, said)
        works = [Explain(self.model, part.given, method, target) for part, target in zip(parts, targets, strict=True)]
        found = await asyncio.gather(*map(self.batcher, works))
        return list(zip(parts, found, targets, strict=True))

    def method(self, name: str | None) -> str:
        """The method of a request; a Refusal for one that is not served."""
        if name is None:
            return self.model.methods[0]
        if name not in self.model.methods:
            raise Refusal(
                400, f"method {name[:64]!r} is not served; choose from {', '.join(self.model.methods)}", "input"
            )
        return name

    def _targets(self, parts: Sequence[Part], said: Any) -> list[Wanted]:
        if len(parts) == 1 or not isinstance(said, list):
            return [wanted(self.model, said, part.rows) for part in parts]
        if len(said) != len(parts):
            raise Refusal(400, f"{len(said)} targets for {len(parts)} instances; give one for each", "input")
        return [wanted(self.model, one, part.rows) for one, part in zip(said, parts, strict=True)]


@dataclass(eq=False)
class Service:
    """All models by name, their limits and their numbers. ``failed`` is what kept a model from running at the start."""

    entries: Mapping[str, Entry]
    limits: Limits
    metrics: Metrics
    samples: Mapping[str, Any] = field(default_factory=dict)
    failed: OnnxrayError | None = None

    @classmethod
    def of(cls, models: Sequence[ServedModel], limits: Limits, samples: Mapping[str, Any] | None = None) -> Service:
        """A service of models; ``samples`` are inputs, by the name of the model, of their first run."""
        metrics = Metrics()

        def ran(work: Any, rows: int, seconds: float) -> None:
            metrics.rows.labels(work.model.name, work.operation).observe(rows)
            metrics.runs.labels(work.model.name, work.operation).observe(seconds)

        entries = {one.name: Entry(one, Room(limits), Batcher(Runner(ran), limits)) for one in models}
        for name, entry in entries.items():
            metrics.waiting.labels(name).set_function(entry.batcher.__len__)
            metrics.taken.labels(name).set_function(lambda room=entry.room: room.taken)
        return cls(entries, limits, metrics, samples or {})

    @property
    def ready(self) -> bool:
        """Whether every model has run."""
        return all(entry.ready for entry in self.entries.values())

    async def start(self) -> None:
        """Begins to serve each model when it has run once with each method."""
        for name, entry in self.entries.items():
            entry.batcher.start()
            try:
                await warm_up(entry.model, entry.batcher, self.samples.get(name))
            except OnnxrayError as error:
                self.failed = error
                return
            entry.ready = True
            held, total = entry.model.memory.held, entry.model.memory.total
            log.info("ready", extra={"model": name, "methods": list(entry.model.methods), "bytes": held})
            if held > total:
                log.warning("the sessions take more than the memory", extra={"model": name, "bytes": held, "of": total})
        self.metrics.ready.set(1)

    async def close(self) -> None:
        """Ends the threads of all models."""
        for entry in self.entries.values():
            await entry.batcher.close()

    def entry(self, name: str) -> Entry:
        """A model by its name; a Refusal for another."""
        if name not in self.entries:
            raise Refusal(404, "no such model; GET /v1/models lists them", "model")
        return self.entries[name]

    async def answered(
        self, name: str, request: Request, work: Callable[[Entry, bytes], Awaitable[Response]]
    ) -> Response:
        """What ``work`` makes of a request's body, within the limits. Raises Refusal."""
        entry = self.entry(name)
        if not entry.ready:
            raise Refusal(503, "the model has not run yet; come again later", "unready", retry=1)
        with entry.room.for_one(), entry.room.for_body(request) as body:
            try:
                async with asyncio.timeout(self.limits.timeout):
                    return await unless_gone(request, work(entry, await body))
            except (TimeoutError, Stopped):
                raise Refusal(504, f"no result within {self.limits.timeout:g} s", "timeout") from None
            except OnnxrayError as error:
                request.state.reason = str(error)
                raise entry.model.wording.of(error) from error
