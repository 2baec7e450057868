"""Versions of the installed software."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["software"]

PACKAGES = ("onnxray", "onnxruntime", "onnxruntime-gpu", "onnx", "numpy", "scipy", "scikit-image", "bottleneck")


def software() -> dict[str, Any]:
    """Versions of the packages that numbers come from, of Python, and the machine."""
    versions = {name: held for name in PACKAGES if (held := _version(name))}
    return {"versions": versions, "python": platform.python_version(), "machine": platform.platform()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
