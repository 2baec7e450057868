"""Names that onnxray gives to what it adds to a graph."""

from __future__ import annotations

__all__ = ["SHADOW"]


SHADOW = "twin/"
