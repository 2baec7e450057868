"""Around every request: an id, a line in the log, its numbers, and the response to what went wrong."""

from __future__ import annotations

import logging
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .request_refusal import Refusal
from .service import Service
from .v1 import json_response

__all__ = ["Observed", "refused"]

log = logging.getLogger("onnxray.serving.access")
ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True)
class Observed:
    """An ASGI application around another, whose refusals and failures become responses here."""

    app: ASGIApp
    service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update({"x-request-id": name, **SAFE})
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            log.error("unexpected error", exc_info=error, extra={"request_id": name})
        finally:
            self._note(scope, name, status, time.perf_counter() - start)

    def _note(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        asked, state, numbers = scope.get("path_params", {}).get("name", ""), scope["state"], self.service.metrics
        model, kind = asked if asked in self.service.entries else "", state.get("kind")
        route = getattr(scope.get("route"), "path", "other")
        numbers.requests.labels(route, model, str(status)).inc()
        numbers.seconds.labels(route, model).observe(seconds)
        if kind:
            numbers.errors.labels(model, kind).inc()
        said: dict[str, Any] = {"request_id": name, "method": scope["method"], "route": route, "model": model}
        said |= {"status": status, "seconds": round(seconds, 6), **({"reason": state["reason"]} if kind else {})}
        log.info("request", extra=said)


async def refused(request: Request, error: Exception) -> Response:
    """The response to an exception: what nobody expected says nothing of itself."""
    refusal = as_refusal(error)
    state = request.scope.setdefault("state", {})
    state["kind"], state["reason"] = refusal.kind, state.get("reason", refusal.text)
    headers = {} if refusal.retry is None else {"retry-after": str(refusal.retry)}
    headers |= {"connection": "close"} if refusal.closes else {}
    return json_response({"error": refusal.text}, refusal.status, headers)


def as_refusal(error: Exception) -> Refusal:
    """The refusal that an exception means; what nobody expected says nothing of itself."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return Refusal(error.status_code, str(error.detail), "route")
    return Refusal(500, "an unexpected error; its log has the reason by this request's id", "bug")
