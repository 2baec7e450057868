"""Libraries that only the gate needs, imported when they are used; a missing one is one line with the command."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import RuntimeUnavailable

__all__ = ["need"]

EXTRAS = {"pyarrow": "parquet", "quantus": "quantus"}  # all others: gate


def need(module: str) -> Any:
    """A module of an extra, or RuntimeUnavailable with what to install."""
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is not None and not module.startswith(error.name.split(".")[0]):
            raise
        extra = EXTRAS.get(module.split(".")[0], "gate")
        raise RuntimeUnavailable(f"{module} is not installed; pip install 'onnxray[{extra}]'") from None
