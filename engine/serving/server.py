"""The process of a service: uvicorn with lines of JSON as its log, and a limit for headers that come slowly."""

from __future__ import annotations

import asyncio
import logging.config
import socket
import warnings
from functools import partial
from typing import Any

import uvicorn
from pythonjsonlogger.core import RESERVED_ATTRS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..errors import InputError
from .application import application
from .limits import Limits
from .service import Service

__all__ = ["LOGGING", "listen", "run_server"]

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger", "message": "event"},
            "reserved_attrs": [*RESERVED_ATTRS, "color_message"],  # uvicorn's own, for terminals
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"onnxray.serving": {"level": "INFO"}, "uvicorn": {"level": "INFO"}},
}
CLOSING = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
LATE, LARGE = (b"HTTP/1.1 " + status + CLOSING for status in (b"408 Request Timeout", b"431 Headers Too Large"))
HEADERS = 64 * 1024  # bytes


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is one that is free. Raises InputError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"host={host!r}, port={port}: it cannot be listened on ({reason})") from error


def run_server(service: Service, at: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM, which it lets end the process when what it accepted is answered.

    Raises the error of a model whose first run failed.
    """
    logging.config.dictConfig(LOGGING)
    app = application(service, failed=lambda: setattr(server, "should_exit", True))
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, ws="none", lifespan="on",
            http=partial(Patient, service.limits),  # type: ignore[arg-type]
        )
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore"):  # what is wrong with a map is said in its response
        server.run(sockets=[at])
    if service.failed is not None:
        raise service.failed


class Patient(HttpToolsProtocol):
    """A connection that is closed where the headers of a request do not come in time, or do not end."""

    def __init__(self, limits: Limits, /, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._seconds = limits.patience
        self._waits: asyncio.TimerHandle | None = None
        self._read = 0
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does so only where a socket names its protocol; the body would wait 40 ms for the headers' receipt
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waits is None and not self._in_body:
            self._wait()
        super().data_received(data)
        self._read = self._read + len(data) if self._waits is not None else 0
        if self._read > HEADERS:
            self._end(LARGE)

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._wait_no_more()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False  # of a request that was refused early, the body ends later than the answer
        super().on_message_complete()

    def _wait(self) -> None:
        self._waits = self.loop.call_later(self._seconds, self._end, LATE)

    def _wait_no_more(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _end(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
