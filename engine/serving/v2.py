"""The open inference protocol (KServe v2): health, metadata, and infer with tensors as JSON or as bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..attribution.result import Attribution
from ..errors import InputError
from .instances import Part, pictures, texts
from .messages import InferBody, decoded_body, schema_of
from .request_refusal import Refusal
from .service import Entry, Service, off_loop
from .tensors import BYTES, datatype, read_tensors, written
from .v1 import json_response

__all__ = ["v2_routes"]

LENGTH = "inference-header-content-length"
BODY: dict[str, Any] = {"requestBody": schema_of(InferBody)}


def v2_routes(service: Service) -> APIRouter:
    """The routes of the protocol; those that are asked most come first, as they are tried in turn."""
    routes = APIRouter(prefix="/v2", tags=["Open inference protocol (v2)"])

    @routes.post("/models/{name}/infer", summary="Outputs, or with a method maps", openapi_extra=BODY)
    async def infer(name: str, request: Request) -> Response:
        length = request.headers.get(LENGTH)

        async def work(entry: Entry, content: bytes) -> Response:
            return await _infer(entry, content, length)

        return await service.answered(name, request, work)

    @routes.get("", summary="The server and its extensions")
    async def server() -> Response:
        said = {"name": "onnxray", "version": version("onnxray"), "extensions": ["binary_tensor_data"]}
        return json_response(said)

    @routes.get("/health/live", summary="Whether the process answers")
    async def live() -> Response:
        return json_response({"live": True})

    @routes.get("/health/ready", summary="Whether every model has run once")
    async def ready() -> Response:
        return json_response({"ready": service.ready}, 200 if service.ready else 503)

    @routes.get("/models/{name}", summary="The inputs and outputs of a model")
    async def metadata(name: str) -> Response:
        return json_response(described(service.entry(name)))

    @routes.get("/models/{name}/ready", summary="Whether a model has run once")
    async def model_ready(name: str) -> Response:
        ready = service.entry(name).ready
        return json_response({"name": name, "ready": ready}, 200 if ready else 503)

    return routes


def described(entry: Entry) -> dict[str, Any]:
    """The metadata of a model."""
    model = entry.model

    def tensor(value: Any) -> dict[str, Any]:
        sizes = [] if value.shape is None else [one if isinstance(one, int) else -1 for one in value.shape]
        kind = BYTES if value.dtype is None else datatype(value.dtype.numpy())
        return {"name": str(value.name), "datatype": kind, "shape": sizes}

    return {
        "name": model.name,
        "versions": [],
        "platform": "onnxruntime_onnx",
        "inputs": [tensor(value) for value in model.model.inputs],
        "outputs": [tensor(value) for value in model.model.outputs],
        "parameters": {"methods": ",".join(model.methods)},
    }


async def _infer(entry: Entry, content: bytes, length: str | None) -> Response:
    size = _json_size(length, len(content))
    body: InferBody = await off_loop(size, decoded_body, memoryview(content)[:size], InferBody)
    parts = await off_loop(len(content), _parts, entry, body, memoryview(content)[size:])
    asked = body.parameters
    if asked.method is None:
        arrays: Mapping[str, np.ndarray] = _joined(await entry.predict(parts))
    else:
        found = await entry.explain(parts, asked.method, asked.target)
        arrays = _joined([_named(one) for _, one, _ in found])
    head = {"model_name": entry.model.name, **({} if body.id is None else {"id": body.id})}
    many = sum(array.size for array in arrays.values())
    data, json = await off_loop(many, written, head, arrays, body.outputs, asked.binary_data_output)
    if json is None:
        return Response(data, media_type="application/json")
    return Response(data, headers={LENGTH: str(json)}, media_type="application/octet-stream")


def _json_size(told: str | None, size: int) -> int:
    if told is None:
        return size
    if not told.isdecimal() or not told.isascii() or len(told) > 18 or int(told) > size:
        raise Refusal(400, "Inference-Header-Content-Length does not fit the body", "body")
    return int(told)


def _parts(entry: Entry, body: InferBody, rest: memoryview) -> list[Part]:
    arrays = read_tensors(body, rest)
    if len(arrays) == 1 and (first := next(iter(arrays.values()))).dtype == object:
        return _files(entry, body.inputs[0].parameters.get("binary_data_size") is None, first.ravel().tolist())
    return [Part(entry.model.reader(arrays))]


def _files(entry: Entry, json: bool, elements: Sequence[bytes]) -> list[Part]:
    """Pictures or texts; JSON has the files of pictures in base64."""
    if not elements:
        raise InputError("the input holds no element; give at least one")
    if entry.model.encoder is not None:
        return texts(entry.model, [(one.decode("utf-8", "replace"), None) for one in elements])
    try:
        files = [base64.b64decode(one, validate=True) for one in elements] if json else elements
    except (binascii.Error, ValueError):
        raise InputError("an element of BYTES in JSON is the file of a picture in base64") from None
    return pictures(entry.model, files)


def _named(found: Attribution) -> dict[str, np.ndarray]:
    """An attribution as the outputs of a saved explainer: attribution, score, target and delta."""
    values = found.values if isinstance(found.values, Mapping) else {"": found.values}
    maps = {f"attribution_{name}" if name else "attribution": array for name, array in values.items()}
    target = np.asarray(found.target)
    said = target.astype(np.int64) if target.dtype.kind in "iu" else target.astype(np.float32)
    delta = {} if found.delta is None else {"delta": np.asarray(found.delta, np.float32)}
    return {**maps, "score": np.asarray(found.score, np.float32), "target": said, **delta}


def _joined(several: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The rows of all parts; an InputError where they differ in shape."""
    if len(several) == 1:
        return dict(several[0])
    if any(len({one[name].shape[1:] for one in several}) > 1 for name in several[0]):
        raise InputError("the texts differ in their number of tokens; send one in a request, or use protocol v1")
    return {name: np.concatenate([one[name] for one in several]) for name in several[0]}
