"""Helpers of the tests of the gate's commands: quick arguments, and the means in a command's JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FAST = ["--threads", "1", "--no-layers"]
Asked = Callable[..., dict[str, Any]]


def means(record: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {(one["method"], one["metric"]): one["mean"] for one in record["summary"]}
