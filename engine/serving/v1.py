"""KServe's protocol v1: ``/v1/models/NAME:predict`` and ``:explain``."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from .answers import explanations, predictions, size_of
from .instances import Part, parts_of
from .messages import InstancesBody, decoded_body, schema_of
from .service import Entry, Service, off_loop

__all__ = ["json_response", "v1_routes"]

BODY: dict[str, Any] = {"requestBody": schema_of(InstancesBody)}


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON; NaN and infinities are null there."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def v1_routes(service: Service) -> APIRouter:
    """The routes of the protocol; those that are asked most come first, as they are tried in turn."""
    routes = APIRouter(prefix="/v1", tags=["KServe v1"])

    @routes.post("/models/{name}:explain", summary="A map of each instance", openapi_extra=BODY)
    async def explain(name: str, request: Request) -> Response:
        return await service.answered(name, request, _explain)

    @routes.post("/models/{name}:predict", summary="The model's outputs for each instance", openapi_extra=BODY)
    async def predict(name: str, request: Request) -> Response:
        return await service.answered(name, request, _predict)

    @routes.get("/models", summary="The names of all models")
    async def models() -> Response:
        return json_response({"models": list(service.entries)})

    @routes.get("/models/{name}", summary="Whether a model is ready, its methods, classes and inputs")
    async def model(name: str) -> Response:
        entry = service.entry(name)
        return json_response({"name": name, "ready": entry.ready, **card(entry)}, 200 if entry.ready else 503)

    return routes


def card(entry: Entry) -> dict[str, Any]:
    """What a page needs to know of a model."""
    model = entry.model
    takes = {"pictures": model.takes_pictures, "text": model.encoder is not None}
    return {
        "methods": model.methods,
        "labels": {str(index): label for index, label in model.labels.items()},
        "inputs": [str(value.name) for value in model.model.inputs],
        "takes": [kind for kind, whether in takes.items() if whether] or ["rows"],
        "columns": model.columns,
        "classes": model.scores.single,
    }


async def _read(entry: Entry, content: bytes) -> tuple[InstancesBody, list[Part]]:
    body: InstancesBody = await off_loop(len(content), decoded_body, content, InstancesBody)
    return body, await off_loop(len(content), parts_of, entry.model, body)


async def _predict(entry: Entry, content: bytes) -> Response:
    body, parts = await _read(entry, content)
    outputs = await entry.predict(parts)
    columns, rows = body.inputs is not msgspec.UNSET, [part.rows for part in parts]
    size = sum(array.size for one in outputs for array in one.values())
    return await off_loop(size, lambda: json_response(predictions(outputs, rows, columns)))


async def _explain(entry: Entry, content: bytes) -> Response:
    body, parts = await _read(entry, content)
    asked = body.parameters
    found = await entry.explain(parts, asked.method, asked.target)

    def response() -> Response:
        told = [
            one
            for part, attribution, target in found
            for one in explanations(entry.model, part, attribution, target.score, asked.draw)
        ]
        return json_response({"explanations": told})

    return await off_loop(10**9 if asked.draw else size_of([one for _, one, _ in found]), response)
