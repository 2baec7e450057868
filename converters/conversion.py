"""`to_onnx`: choose the converter, check what it made, write what was found into the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnxray.errors import ConversionError
from onnxray.support.heap import release
from onnxray.support.writing import replacing

from .candidates import Candidate, GradientHook, Options
from .gradients import compare_gradients
from .input_specs import named, sample
from .layer_names import resolve
from .parity import parity
from .parity_session import ParitySession, all_tensors
from .sources import convert
from .stored_weights import Stored, stored
from .subgraphs import every_node

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
    inputs : examples (arrays), shapes such as (1, 3, 224, 224), or ``Spec`` objects: one, several, or a dict by name.
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
    target = None if path is None else writable(path, source)
    candidate = convert(source, options)
    refuse_unwritable(candidate)
    refuse_foreign(candidate)
    with stored(candidate.model) as files:
        candidate = replace(candidate, model=files.model)  # the one with weights is let go
        check(candidate, files, replace(options, batch=options.batch or fixed_batch(candidate)))
        if target is not None:
            write(files, target)
        return files.whole()


def writable(name: str | Path, source: Any) -> Path:
    """Before minutes of work: whether a file can be written there."""
    if not isinstance(name, (str, PathLike)):
        raise ConversionError(f"path={name!r} is no path; give a str or Path")
    path = Path(name)
    if not path.parent.is_dir():
        raise ConversionError(f"{path} lies in no folder; name another file")
    if path.is_dir() or (isinstance(source, (str, Path)) and path.resolve() == Path(source).resolve()):
        what = "a folder" if path.is_dir() else "the source itself"
        raise ConversionError(f"{path} is {what}; name another file")
    return path


def write(files: Stored, path: Path) -> None:
    """Write the checked model."""
    with replacing(path) as temporary:
        files.write(temporary)


def refuse_unwritable(candidate: Candidate) -> None:
    """Refuse a model that gives nothing, or that does not fit into one file of protobuf."""
    if not candidate.model.graph.output:
        raise ConversionError(f"{candidate.source}: gives no tensor, so there is nothing to explain; return its scores")
    if sum(ir.from_proto(tensor).nbytes for tensor in candidate.model.graph.initializer) > LARGEST:
        raise ConversionError(
            f"{candidate.source}: over 2 GB of weights, more than one .onnx file holds; use a smaller one"
        )


def refuse_foreign(candidate: Candidate) -> None:
    """Refuse a graph with an operator that its exporter had no ONNX form for: tf2onnx leaves such ones in silence."""
    opset = next(entry.version for entry in candidate.model.opset_import if entry.domain in ("", "ai.onnx"))
    for node in every_node(candidate.model.graph):
        if node.domain in ("", "ai.onnx") and not onnx.defs.has(node.op_type, opset):
            raise ConversionError(
                f"{candidate.source}: operator {node.op_type} ({node.name!r}) has no form in ONNX opset {opset}; "
                "write this layer with other operators"
            )


def check(candidate: Candidate, files: Stored, options: Options) -> None:
    """Hold a converted model to its framework and note the findings in it."""
    note(files.model, "source", candidate.source)
    note(files.model, "parity", parity(candidate, ParitySession(files), options))
    release()
    found, missing = layer_map(candidate, files, options)
    note(files.model, "layers", found)
    note(files.model, "layers.missing", missing)
    if options.check_gradients is not None:
        whole = replace(candidate, model=files.whole())
        note(files.model, "gradients", compare_gradients(whole, options.check_gradients, options))


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
    return resolve(candidate.model, all_tensors(files, feed), layers, candidate.scopes)


def note(model: onnx.ModelProto, key: str, value: Any) -> None:
    """Write one entry of the metadata."""
    text = value if isinstance(value, str) else json.dumps(value)
    model.metadata_props.add(key=f"onnxray.{key}", value=text)
