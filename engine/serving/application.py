"""The ASGI application of a service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from .observed import Observed, refused
from .page import page_routes
from .request_refusal import Refusal
from .service import Service
from .v1 import v1_routes
from .v2 import v2_routes

__all__ = ["application"]

ABOUT = "Attributions of ONNX models: predictions, and maps of what a model used for them."


def application(service: Service, failed: Callable[[], None] = lambda: None) -> ASGIApp:
    """The application; ``failed`` is called where a model does not run at the start."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(_started(service, failed))
        yield
        starting.cancel()
        await service.close()

    app = FastAPIOffline(
        title="onnxray", description=ABOUT, version=version("onnxray"), lifespan=lifespan, redoc_url=None,
    )  # fmt: skip
    for routes in (v1_routes(service), v2_routes(service), page_routes(service)):
        app.include_router(routes)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for kind in (Refusal, HTTPException, Exception):
        app.add_exception_handler(kind, refused)
    return Observed(app, service)


async def _started(service: Service, failed: Callable[[], None]) -> None:
    await service.start()
    if service.failed is not None:
        failed()
