"""The small models that ship, their samples, and the scripts that train them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from onnxray.errors import InputError

__all__ = ["FILES", "path"]

FILES = ("breast_cancer.csv", "breast_cancer.onnx", "digit.png", "digits.onnx", "digits.txt")


def path(name: str) -> Path:
    """Where a file that ships lies, such as path("digits.onnx")."""
    if name not in FILES:
        raise InputError(f"{name!r} does not ship with onnxray; choose from {', '.join(FILES)}")
    return Path(str(resources.files(__name__) / name))
