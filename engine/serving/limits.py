"""What a service takes at most: of rows in a run, of requests, of bytes and of seconds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """The limits of each model of a service.

    Args:
        batch: Rows of several requests that are run together at most; one request alone may have more. 1: no batching.
        delay: Seconds that a request waits for others to share its run.
        queue: Requests that are read, wait or run; what comes beyond them is told to come back later.
        timeout: Seconds from a request's first byte to its result.
        body: Bytes of one request.
        bodies: Bytes of all requests that are read, wait or run.
        patience: Seconds in which a client has to send its headers, and then its body.
    """

    batch: int = 32
    delay: float = 0.002
    queue: int = 128
    timeout: float = 30.0
    body: int = 16 * 2**20
    bodies: int = 256 * 2**20
    patience: float = 10.0
