"""Versions of the installed software."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

from ..support.execution_providers import RUNTIME_PACKAGES
from ..support.processor import this_processor
from ..support.versions import installed_versions

__all__ = ["software"]

PACKAGES = ("onnxray", *RUNTIME_PACKAGES, "onnx", "numpy", "scipy", "scikit-image", "bottleneck")


def software() -> dict[str, Any]:
    """Versions of the packages that numbers come from, of Python, the machine and its processor."""
    return {
        "versions": installed_versions(PACKAGES),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "processor": asdict(this_processor()),
    }
