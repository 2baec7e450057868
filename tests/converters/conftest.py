"""Helpers of the converter tests: metadata, and tensors read out of a graph independently of the converters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest


@pytest.fixture
def notes() -> Callable[[onnx.ModelProto, str], Any]:
    """Read an entry of the metadata that a conversion wrote."""

    def read(model: onnx.ModelProto, key: str) -> Any:
        found = {entry.key: entry.value for entry in model.metadata_props}
        return json.loads(found[f"onnxray.{key}"])

    return read


@pytest.fixture
def tensors() -> Callable[[onnx.ModelProto, list[str], dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Run a model with some inner tensors as outputs."""
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime runs the converted models")

    def run(model: onnx.ModelProto, names: list[str], feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        probe = onnx.ModelProto()
        probe.CopyFrom(model)
        del probe.graph.output[:]
        wanted = list(dict.fromkeys(name for name in names if name not in feed))
        probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
        return {**feed, **dict(zip(wanted, session.run(None, feed), strict=True))}

    return run


@pytest.fixture
def engine() -> Callable[[onnx.ModelProto, dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """The engine's gradient of the sum of the first output, in the form that `check_gradients` takes."""
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime runs the gradient graphs")

    def gradient(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        first = model.graph.output[0].name
        wanted = [name for name, value in feed.items() if value.dtype.kind == "f"]
        graph = onnxray.differentiate(model, of=[first], wrt=wanted)
        seed = np.ones_like(ort.InferenceSession(model.SerializeToString()).run([first], feed)[0])
        session = ort.InferenceSession(graph.model.SerializeToString())
        values = session.run([graph.gradients[name] for name in wanted], {**feed, graph.seeds[first]: seed})
        return dict(zip(wanted, values, strict=True))

    return gradient
