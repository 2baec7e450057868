"""The page at ``/``: a form that explains one input, from files of this package."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from .service import Service
from .v1 import json_response

__all__ = ["page_routes"]


def page_routes(service: Service) -> APIRouter:
    """The page; a client that does not ask for HTML learns that the service is alive, as protocol v1 says."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def page(request: Request) -> Response:
        return json_response({"status": "alive"})

    return routes
