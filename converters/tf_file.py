"""Shared handling of SavedModel and .tflite files after tf2onnx has read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx

from .candidates import Candidate, Feed, LayerValue, Options
from .input_specs import graph_specs, read_inputs
from .keras_graph import name_axes, rename_tensors

__all__ = ["Runner", "tf_candidate"]


class Runner(Protocol):
    """TensorFlow's own way to run what a file holds."""

    def outputs(self, feed: Feed) -> list[np.ndarray]: ...

    def layers(self, feed: Feed) -> Mapping[str, LayerValue | str]: ...

    def gradients(self, feed: Feed, weights: np.ndarray, double: bool) -> Feed | None: ...


def tf_candidate(
    proto: onnx.ModelProto,
    path: Path,
    options: Options,
    runner: Runner,
    names: Mapping[str, str],
    scopes: Mapping[str, list[str]],
) -> Candidate:
    """Give the graph its names, and join it with what runs the file."""
    rename_tensors(proto.graph, names)
    name_axes([*proto.graph.input, *proto.graph.output], options.batch)
    return Candidate(
        model=proto,
        source=str(path),
        specs=graph_specs(proto, read_inputs(options.inputs)),
        packages=("tensorflow", "tensorflow-cpu", "tf2onnx"),
        outputs=runner.outputs,
        layers=runner.layers,
        scopes={scope: [names.get(name, name) for name in tensors] for scope, tensors in scopes.items()},
        gradients=runner.gradients,
    )
