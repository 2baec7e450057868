"""Run a converted model on onnxruntime, as it is or with every intermediate tensor as an output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxray.support.writing import writing

from .candidates import Feed
from .quiet import converting, require
from .stored_weights import Stored

__all__ = ["ParitySession", "all_tensors"]


class ParitySession:
    """An onnxruntime session on the CPU, its weights mapped from their file and not copied into another layout."""

    def __init__(self, files: Stored, *, model: onnx.ModelProto | None = None) -> None:
        """Open the stored model as users run it, or a variant of it with the optimiser off."""
        ort = require("onnxruntime")
        settings = ort.SessionOptions()
        settings.log_severity_level = 4
        settings.enable_cpu_mem_arena = False
        settings.add_session_config_entry("session.disable_prepacking", "1")
        if model is not None:
            settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        path = Path(files.folder) / "model.onnx"
        with writing(path):
            path.write_bytes((model or files.model).SerializeToString())
        advice = "the exporter wrote a graph that onnxruntime refuses; try another opset"
        with converting("onnxruntime cannot load the converted model", advice):
            self.session: Any = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def run(self, feed: Feed, names: Sequence[str] | None = None) -> list[np.ndarray]:
        """Outputs for a feed."""
        advice = "shapes were fixed at export: give inputs of another size, or batch=N for a model of one batch size"
        with converting("onnxruntime cannot run the converted model", advice):
            return self.session.run(names, feed)


def all_tensors(files: Stored, feed: Feed) -> dict[str, np.ndarray]:
    """The value of every tensor at the top level of the graph, inputs included, in the order of the nodes.

    The optimiser is off: it would merge the tensors away.
    """
    names = [name for node in files.model.graph.node for name in node.output if name]
    tapped = onnx.ModelProto()
    tapped.CopyFrom(files.model)
    del tapped.graph.output[:]
    tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values = ParitySession(files, model=tapped).run(feed)
    found = {**feed, **dict(zip(names, values, strict=True))}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
