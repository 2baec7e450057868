"""A service of the digits in this process, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import numpy as np
from late import Late
from onnxray import models
from onnxray.serving import Limits, ServedModel, served_model

httpx: Any = Late("httpx2")
DIGITS, PICTURE = models.path("digits.onnx"), models.path("digit.png")
X = np.random.default_rng(0).random((5, 1, 28, 28), np.float32)
METHODS = ("saliency", "grad-cam", "feature-permutation")
Ask = Callable[..., Awaitable[Any]]


@cache
def opened() -> ServedModel:
    """The digits with three methods."""
    return served_model(DIGITS, "digits", METHODS, threads=1, options={"samples": 1, "cells": 2})


def served(model: ServedModel, scenario: Callable[[Ask], Awaitable[Any]], limits: Limits | None = None) -> Any:
    """What a scenario gives, which calls a started service by its first argument."""
    from onnxray.serving.application import application
    from onnxray.serving.service import Service

    async def run() -> Any:
        service = Service.of([model], limits or Limits(delay=0))
        transport = httpx.ASGITransport(application(service))
        await service.start()
        assert service.failed is None
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            found = await scenario(client.request)
        await service.close()
        return found

    return asyncio.run(run())


def asked(model: ServedModel, *requests: tuple[Any, ...], limits: Limits | None = None, **named: Any) -> list[Any]:
    """The responses to requests that are sent one after the other: a path, and a body if it is posted."""

    async def scenario(ask: Ask) -> list[Any]:
        return [await ask("POST" if body else "GET", path, json=body[0] if body else None, **named)
                for path, *body in requests]  # fmt: skip

    return served(model, scenario, limits)


def rows(x: np.ndarray, **parameters: Any) -> dict[str, Any]:
    return {"instances": x.tolist(), **({"parameters": parameters} if parameters else {})}


def maps(response: Any) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.array([one["values"] for one in response.json()["explanations"]], np.float32)
