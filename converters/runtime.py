"""Run a converted model on onnxruntime, as it is or with every intermediate tensor as an output."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from .options import Feed
from .quiet import converting, require

__all__ = ["Session", "all_tensors"]


class Session:
    """An onnxruntime session on the CPU, loaded from a file so that the weights are held once."""

    def __init__(self, model: onnx.ModelProto, optimise: bool = True) -> None:
        ort = require("onnxruntime")
        settings = ort.SessionOptions()
        settings.log_severity_level = 4
        if not optimise:
            settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        advice = "the exporter wrote a graph that onnxruntime refuses; try another opset"
        with tempfile.TemporaryDirectory() as folder, converting("onnxruntime cannot load the converted model", advice):
            path = Path(folder) / "model.onnx"
            path.write_bytes(model.SerializeToString())
            self.session: Any = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def run(self, feed: Feed, names: Sequence[str] | None = None) -> list[np.ndarray]:
        """Outputs for a feed."""
        advice = "shapes were fixed at export: give inputs of another size, or batch=N for a model of one batch size"
        with converting("onnxruntime cannot run the converted model", advice):
            return self.session.run(names, feed)


def all_tensors(model: onnx.ModelProto, feed: Feed) -> dict[str, np.ndarray]:
    """The value of every tensor at the top level of a graph, inputs included, in the order of the nodes.

    The optimiser is off: it would merge the tensors away. The model is as before on return.
    """
    names = [name for node in model.graph.node for name in node.output if name]
    kept = list(model.graph.output)
    try:
        model.graph.ClearField("output")
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        values = Session(model, optimise=False).run(feed)
    finally:
        model.graph.ClearField("output")
        model.graph.output.extend(kept)
    found = {**feed, **dict(zip(names, values, strict=True))}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
