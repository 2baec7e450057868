"""Run a converted model on onnxruntime, as it is or with every intermediate tensor as an output.

Weights are written to a file once and mapped by every session: a model of half a gigabyte is copied often enough.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx

from .options import Feed
from .quiet import converting, require

__all__ = ["Session", "Stored", "stored"]

WEIGHTS = "weights.bin"
SMALL = 4096


@contextmanager
def stored(model: onnx.ModelProto) -> Iterator[Stored]:
    """Keep the weights of a model in a temporary file meanwhile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / WEIGHTS).open("wb") as file:
            weights = [outside(tensor, file) for tensor in model.graph.initializer]
        graph = onnx.GraphProto(name=model.graph.name, initializer=weights)
        for field in ("node", "input", "output", "value_info"):
            getattr(graph, field).extend(getattr(model.graph, field))
        light = onnx.ModelProto(ir_version=model.ir_version, graph=graph)
        light.opset_import.extend(model.opset_import)
        light.functions.extend(model.functions)
        yield Stored(light, folder)


def outside(tensor: onnx.TensorProto, file: BinaryIO) -> onnx.TensorProto:
    """A tensor whose data are in a file; small ones stay as they are."""
    data = tensor.raw_data
    if len(data) < SMALL:
        return tensor
    place = {"location": WEIGHTS, "offset": file.tell(), "length": file.write(data)}
    moved = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    moved.data_location = onnx.TensorProto.EXTERNAL
    for key, value in place.items():
        moved.external_data.add(key=key, value=str(value))
    return moved


@dataclass(frozen=True)
class Stored:
    """A model without its weights, and the folder of the file that holds them."""

    model: onnx.ModelProto
    folder: Path

    def session(self) -> Session:
        """A session as users run it."""
        return Session(self.model, self.folder, optimise=True)

    def all_tensors(self, feed: Feed) -> dict[str, np.ndarray]:
        """The value of every tensor at the top level of the graph, inputs included, in the order of the nodes.

        The optimiser is off: it would merge the tensors away.
        """
        names = [name for node in self.model.graph.node for name in node.output if name]
        tapped = onnx.ModelProto()
        tapped.CopyFrom(self.model)
        del tapped.graph.output[:]
        tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        values = Session(tapped, self.folder, optimise=False).run(feed)
        found = {**feed, **dict(zip(names, values, strict=True))}
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


class Session:
    """An onnxruntime session on the CPU."""

    def __init__(self, model: onnx.ModelProto, folder: Path, optimise: bool) -> None:
        ort = require("onnxruntime")
        settings = ort.SessionOptions()
        settings.log_severity_level = 4
        if not optimise:
            settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        advice = "the exporter wrote a graph that onnxruntime refuses; try another opset"
        with converting("onnxruntime cannot load the converted model", advice):
            self.session: Any = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def run(self, feed: Feed, names: Sequence[str] | None = None) -> list[np.ndarray]:
        """Outputs for a feed."""
        advice = "shapes were fixed at export: give inputs of another size, or batch=N for a model of one batch size"
        with converting("onnxruntime cannot run the converted model", advice):
            return self.session.run(names, feed)
