"""Whether there is room for one more request, and its body, read within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from .limits import Limits
from .request_refusal import Refusal

__all__ = ["Room", "unless_gone"]

T = TypeVar("T")
RETRY = 1  # seconds after which a client may come again


@dataclass(eq=False)
class Room:
    """The requests that a model has taken, and the bytes of all of them."""

    limits: Limits
    taken: int = 0
    held: int = 0

    @contextmanager
    def for_one(self) -> Iterator[None]:
        """Takes a request; a Refusal (429) where there are as many as may be."""
        if self.taken >= self.limits.queue:
            raise _busy()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    @contextmanager
    def for_body(self, request: Request) -> Iterator[Awaitable[bytes]]:
        """The body of a request, whose bytes count as long as it is worked on."""
        before = [0]
        try:
            yield self._read(request, before)
        finally:
            self.held -= before[0]

    async def _read(self, request: Request, counted: list[int]) -> bytes:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(415, "the body is compressed; send it as it is", "body")
        told = request.headers.get("content-length", "0")
        if told.isdecimal() and int(told) > self.limits.body:
            raise self._too_large()
        parts = bytearray()
        try:
            async with asyncio.timeout(self.limits.patience):
                async for part in request.stream():
                    parts += part
                    self._count(len(part), counted)
        except TimeoutError:
            raise Refusal(
                408, f"the body did not come within {self.limits.patience:g} s", "slow", closes=True
            ) from None
        except ClientDisconnect:
            raise _gone() from None
        return bytes(parts)

    def _count(self, size: int, counted: list[int]) -> None:
        counted[0] += size
        self.held += size
        if counted[0] > self.limits.body:
            raise self._too_large()
        if self.held > self.limits.bodies:
            raise _busy()

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self.limits.body} bytes", "body")


def _busy() -> Refusal:
    return Refusal(429, "too many requests are in work; come again later", "busy", retry=RETRY)


def _gone() -> Refusal:
    return Refusal(499, "the client went away", "gone", closes=True)  # nobody reads it; the log does


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of a work, which is cancelled, as a Refusal tells, when the client goes away."""
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise _gone()
        return doing.result()
    finally:
        for one in (doing, gone):
            one.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
