"""Names that onnxray gives to what it adds to a graph."""

from __future__ import annotations

__all__ = ["SHADOW"]


SHADOW = "shadow/"  # of the nodes and values of the float32 shadow
