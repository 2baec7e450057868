"""What each layer loses, as node data of Model Explorer, which colours the graph of the reference by it.

Format: https://github.com/google-ai-edge/model-explorer/wiki/2.-User-Guide (custom node data). The keys are names of
nodes, which are the ids that its adapter of ONNX gives them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...support.json_text import json_text
from ...support.writing import write_text
from ..layers.compare_layers import LayerLoss, LayerReport

__all__ = ["write_node_data"]

GRADIENT = [{"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#b2182b"}]  # white, and red for what loses most


def write_node_data(layers: LayerReport, folder: Path) -> list[Path]:
    """Writes a file for the loss of activations and one for that of evidence; none of what was not measured."""
    wanted = {
        "activations-by-node.json": {one.node: one.activation for one in layers.layers},
        "evidence-by-node.json": {one.node: _lost(one) for one in layers.layers},
    }
    found = {name: {key: value for key, value in each.items() if value is not None} for name, each in wanted.items()}
    return [write_text(folder / name, json_text(_data(each), indent=1)) for name, each in found.items() if each]


def _lost(layer: LayerLoss) -> float | None:
    """0 where both layers have the same evidence, up to 2 where it is opposite."""
    return None if layer.attribution is None else 1 - layer.attribution


def _data(values: dict[str, float]) -> dict[str, Any]:
    return {"results": {name: {"value": value} for name, value in values.items()}, "gradient": GRADIENT}
