"""Compare input gradients of a converted model, as an engine computes them, with the framework's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnxray.errors import ConversionError
from onnxray.support.distance import relative_l2

from .candidates import Candidate, Feed, GradientHook, Options
from .input_specs import named, sample

__all__ = ["compare_gradients"]

LIMIT = 1e-4
ROWS = 2
MOVES = 4
ROUNDINGS = 1e-6
PROBE = "onnxray_probe"


def compare_gradients(candidate: Candidate, hook: GradientHook, options: Options) -> dict[str, Any]:
    """Relative L2 distance per input; past 1e-4, and past 3 times what rounding costs the framework, it is an error.

    What is differentiated is a fixed random combination of the first output: the plain sum of a softmax is
    constant, and would compare zero with zero.
    """
    generator = np.random.default_rng(options.seed)
    feed = {
        named(s): s.rows if s.rows is not None else sample(s, options.batch or ROWS, generator) for s in candidate.specs
    }
    weights = generator.standard_normal(candidate.outputs(feed)[0].shape[1:]).astype(np.float32)
    wanted = candidate.gradients(feed, weights, False)
    if wanted is None:
        raise ConversionError(
            f"{candidate.source}: has no gradients of its own to compare with; leave check_gradients out"
        )
    if not wanted:
        raise ConversionError(f"{candidate.source}: has no floating-point input; leave check_gradients out")
    got = hook(probe(candidate.model, weights), feed)
    gaps = {name: distance(value, got.get(name)) for name, value in wanted.items()}
    limits = dict.fromkeys(gaps, LIMIT)
    if any(gap > LIMIT for gap in gaps.values()):
        limits = {name: max(LIMIT, 3 * cost) for name, cost in rounding(candidate, feed, weights, wanted).items()}
    check(candidate.source, gaps, limits)
    return {name: {"relative_l2": gap, "allowed": limits[name]} for name, gap in gaps.items()}


def rounding(candidate: Candidate, feed: Feed, weights: np.ndarray, wanted: Feed) -> dict[str, float]:
    """How far rounding moves the framework's own gradient, measured from its float64; 0 where it has none.

    A Relu or a pooling near its kink falls either way: in the framework's float32, or as here when the input moves by
    a few roundings. Where the engine's float32 has fallen the other way, the framework's alone would not tell.
    """
    exact = double(candidate, feed, weights)
    if exact is None:
        return dict.fromkeys(wanted, 0.0)
    others = [wanted, *filter(None, (double(candidate, moved(feed, seed), weights) for seed in range(MOVES)))]
    return {name: max(distance(value, other[name]) for other in others) for name, value in exact.items()}


def moved(feed: Feed, seed: int) -> Feed:
    """Inputs in float64, floats moved by some roundings of float32."""
    generator = np.random.default_rng(seed)
    return {
        name: value * (1 + ROUNDINGS * generator.standard_normal(value.shape)) if value.dtype.kind == "f" else value
        for name, value in feed.items()
    }


def double(candidate: Candidate, feed: Feed, weights: np.ndarray) -> Feed | None:
    """The framework's gradient in float64, where the model has such a form."""
    try:
        return candidate.gradients(feed, weights, True)
    except ConversionError:
        return None


def check(source: str, gaps: dict[str, float], limits: dict[str, float]) -> None:
    """Refuse a model whose gradients differ."""
    for name, gap in gaps.items():
        if not gap <= limits[name]:
            raise ConversionError(
                f"{source}: the gradient of input {name!r} is off by {gap:.3g} in relative L2 (allowed "
                f"{limits[name]:.3g}); outputs agree, so a rule of the engine is wrong for this model: report it"
            )


def distance(wanted: np.ndarray, got: np.ndarray | None) -> float:
    """Relative L2 distance; infinite where there is nothing to compare."""
    if got is None or wanted.shape != got.shape:
        return float("inf")
    return relative_l2([got], [wanted])


def probe(model: onnx.ModelProto, weights: np.ndarray) -> onnx.ModelProto:
    """A copy whose only output is the first one times fixed weights."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    first = copy.graph.output[0]
    kind = onnx.TensorProto.DataType.Name(first.type.tensor_type.elem_type)
    dtype = {"FLOAT16": np.float16, "DOUBLE": np.float64}.get(kind, np.float32)
    copy.graph.initializer.append(onnx.numpy_helper.from_array(weights.astype(dtype), f"{PROBE}_weights"))
    copy.graph.node.append(onnx.NodeProto(op_type="Mul", input=[first.name, f"{PROBE}_weights"], output=[PROBE]))
    del copy.graph.output[1:]
    copy.graph.output[0].name = PROBE
    return copy
