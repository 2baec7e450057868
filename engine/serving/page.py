"""The page at ``/``: a form that explains one input, from files of this package alone."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ..drawing.html_page import render, script
from .service import Service
from .v1 import json_response

__all__ = ["page_routes"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SCRIPTS = ("page.js", "explain_parts.js")


def page_routes(service: Service) -> APIRouter:
    """The page; a client that does not ask for HTML learns that the service is alive, as protocol v1 says."""
    routes = APIRouter(include_in_schema=False)
    page = render(__name__, "page.html", "serve", models=list(service.entries))

    @routes.get("/")
    async def start(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return json_response({"status": "alive"}, headers={"vary": "accept"})
        return HTMLResponse(page, headers={"content-security-policy": POLICY, "vary": "accept"})

    for name in SCRIPTS:
        _script_route(routes, name)
    return routes


def _script_route(routes: APIRouter, name: str) -> None:
    content = script(__name__, name)

    @routes.get(f"/{name}")
    async def code() -> Response:
        return Response(content, media_type="text/javascript", headers={"cache-control": "no-cache"})
