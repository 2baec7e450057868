"""Framework models to ONNX, with the layer names that their users know."""

from __future__ import annotations

from .convert import to_onnx
from .inputs import Spec

__all__ = ["Spec", "to_onnx"]
