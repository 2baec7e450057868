"""Framework models to ONNX, with the layer names that their users know."""

from __future__ import annotations

from .conversion import to_onnx
from .input_specs import Spec

__all__ = ["Spec", "to_onnx"]
