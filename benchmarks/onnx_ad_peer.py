"""onnx-ad (pip install --no-deps onnx-ad): gradients of ONNX models as ONNX models, the peer of `differentiate`."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

import numpy as np
import onnx
from onnxray.errors import UnsupportedOperator

__all__ = ["Reverse", "reverse_of", "version"]


@dataclass(frozen=True)
class Reverse:
    """Its model, the inputs for seeds by output, and the output with the gradient; each has a last axis of seeds."""

    model: onnx.ModelProto
    seeds: dict[str, str]
    gradient: str


def version() -> str | None:
    """Its version, None where it is not installed."""
    try:
        return importlib.metadata.version("onnx-ad")
    except importlib.metadata.PackageNotFoundError:
        return None


def reverse_of(model: onnx.ModelProto, ys: list[str], x: str) -> Reverse:
    """Its reverse mode, from outputs to one input, in ONNX's own layout. Raises UnsupportedOperator if it refuses."""
    import onnx_ad

    try:
        made = onnx_ad.reverse(model, inputs=[x], outputs=ys, layout="onnx")
    except Exception as error:  # whatever it raises of a model that it cannot take
        raise UnsupportedOperator(f"onnx-ad: {error}") from error
    order = [value.name for value in model.graph.output if value.name in ys]
    seeds = [value.name for value in made.graph.input][-len(ys) :]
    return Reverse(made, dict(zip(order, seeds, strict=True)), made.graph.output[-1].name)


def fixed(model: onnx.ModelProto, x: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The model with the shape of an input written in: onnx-ad takes no open sizes everywhere."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    dims = next(value for value in made.graph.input if value.name == x).type.tensor_type.shape.dim
    for dim, size in zip(dims, shape, strict=True):
        dim.Clear()
        dim.dim_value = size
    del made.graph.value_info[:]
    for value in made.graph.output:
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(made)


def one_seed(seed: np.ndarray) -> np.ndarray:
    return seed[..., None]
