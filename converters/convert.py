"""`to_onnx`: choose the converter, check what it made, write what was found into the model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxray.errors import ConversionError

from .gradients import compare_gradients
from .inputs import named, sample
from .layers import resolve
from .options import Candidate, GradientHook, Options
from .parity import parity
from .runtime import Stored, stored
from .sources import convert

__all__ = ["to_onnx"]

LARGEST = 2_000_000_000


def to_onnx(
    source: Any,
    path: str | Path | None = None,
    *,
    inputs: Any = None,
    opset: int = 18,
    batch: int | None = None,
    factory: str | Callable[[], Any] | None = None,
    exporter: str = "default",
    allow_pickle: bool = False,
    allow_lambda: bool = False,
    check_gradients: GradientHook | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> onnx.ModelProto:
    """Convert a live model or a file of Keras, PyTorch or scikit-learn to ONNX, and check the result against it.

    Parameters
    ----------
    source : a Keras model, a torch.nn.Module, a scikit-learn estimator, or the path of a file (told by content).
    path : where to write the .onnx; nothing is written when a check fails.
    inputs : examples (arrays), shapes such as (1, 3, 224, 224), or `Spec`s: one, a sequence, or a dict by name.
        PyTorch needs them, Keras models that know their inputs do not. Examples take part in the checks.
    opset : the ONNX opset to write.
    batch : a fixed batch size, for models that allow only one; otherwise the batch is open.
    factory : "module:callable" or a callable that builds the model whose weights `source` holds.
    exporter : "default", or "legacy" for PyTorch's tracing exporter, which bakes one branch of a condition in.
    allow_pickle, allow_lambda : accept files that run code of their author while they load.
    check_gradients : a function of the model and a feed that gives the gradient of the sum of the first output
        with respect to each input; compared with the framework's own.
    tolerance : largest difference of an output relative to its largest entry; 1e-4, in half precision 1e-2.
    seed : of the random samples.

    The metadata of the model hold `onnxray.source`, `onnxray.parity`, `onnxray.layers`, `onnxray.layers.missing`
    and, if asked for, `onnxray.gradients`, as JSON.
    """
    options = Options(
        inputs, opset, factory, exporter, batch, allow_pickle, allow_lambda, check_gradients, tolerance, seed
    )
    candidate = convert(source, options)
    model = checked(candidate, replace(options, batch=options.batch or fixed_batch(candidate)))
    if path is not None:
        Path(path).write_bytes(model.SerializeToString())
    return model


def checked(candidate: Candidate, options: Options) -> onnx.ModelProto:
    """Hold a converted model to its framework and note the findings in it."""
    model = candidate.model
    if sum(4 * math.prod(tensor.dims) for tensor in model.graph.initializer) > LARGEST:
        raise ConversionError(
            f"{candidate.source}: over 2 GB of weights, more than one .onnx file holds; use a smaller one"
        )
    note(model, "source", candidate.source)
    with stored(model) as files:
        note(model, "parity", parity(candidate, files.session(), options))
        found, missing = layer_map(candidate, files, options)
    note(model, "layers", found)
    note(model, "layers.missing", missing)
    if options.check_gradients is not None:
        note(model, "gradients", compare_gradients(candidate, options.check_gradients, options))
    return model


def fixed_batch(candidate: Candidate) -> int | None:
    """The batch size that the graph itself prescribes, if it does."""
    return next((spec.shape[0] for spec in candidate.specs if spec.shape and spec.shape[0]), None)


def layer_map(
    candidate: Candidate, files: Stored, options: Options
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Resolve every layer on two random rows."""
    generator = np.random.default_rng(options.seed)
    feed = {named(spec): sample(spec, options.batch or 2, generator) for spec in candidate.specs}
    layers = candidate.layers(feed)
    if not layers:
        return {}, {}
    return resolve(candidate.model, files.all_tensors(feed), layers, candidate.scopes)


def note(model: onnx.ModelProto, key: str, value: Any) -> None:
    """Write one entry of the metadata."""
    text = value if isinstance(value, str) else json.dumps(value)
    model.metadata_props.add(key=f"onnxray.{key}", value=text)
