"""Quantising a model for an explainer: onnxruntime's static quantisation, and what it costs in agreement."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ..attribution.inputs import prepare
from ..data.preprocess import Preprocess
from ..errors import InputError, ModelError, OnnxrayError, RuntimeUnavailable
from ..graph.model import Model
from ..loading.load import load
from ..samples.sample import Samples
from ..samples.sample_set import Data, open_samples
from ..support.writing import temporary_folder
from .comparing import compare
from .comparison import Comparison

__all__ = ["Agreement", "quantised_agreement", "quantised_model"]

CALIBRATING, COMPARED = 128, 32  # samples that ranges are read from, and on which maps are compared
_QUANTISED = ("Quant", "DequantizeLinear", "QLinear", "QGemm", "QAttention", "MatMulNBits")
_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Agreement:
    """How far the maps of a quantised model agree with those of the float model, as the gate measures it."""

    method: str
    comparison: Comparison

    @property
    def calibrated(self) -> float | None:
        """1: as far as those of the float model with noise, 0: as those of random weights; None if no metric tells."""
        found = self.comparison.calibration
        return found.scores.get(self.method) if found else None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The means of the metrics of the maps."""
        return {one.metric: one.mean for one in self.comparison.summary if one.method == self.method}


def quantised_model(model: Model, data: Data, preprocess: Preprocess | None = None) -> Model:
    """The model with 8-bit weights and activations, whose ranges the first CALIBRATING samples give.

    QuantizeLinear and DequantizeLinear of the standard: activations uint8, weights int8 per channel in 7 bits, so that
    no processor saturates (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
    Raises InputError of a model that is quantised already or has nothing to quantise, and of data that do not fit.
    """
    check_float(model)
    try:
        from onnxruntime.quantization import QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise RuntimeUnavailable(f"onnxruntime's quantisation needs {error.name}: pip install {error.name}") from None
    samples = open_samples(data, model)
    with temporary_folder() as folder, _quiet():
        given, prepared, file = (folder / name for name in ("float.onnx", "prepared.onnx", "quantised.onnx"))
        onnx.save(model.proto(), given)
        reader: Any = _Reader(_feeds(model, samples, preprocess))
        try:
            quant_pre_process(given, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared, file, reader, per_channel=True, reduce_range=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
        except OnnxrayError:
            raise
        except Exception as error:
            raise ModelError(f"onnxruntime cannot quantise the model: {error}") from error
        made = onnx.load(file)
    return _of_the_same_metadata(made, model)


def quantised_agreement(
    model: Model, quantised: Model, data: Data, method: str, options: Mapping[str, Any], **settings: Any
) -> Agreement:
    """The calibrated agreement of a method on both, on COMPARED samples of the data, or on all if these are fewer."""
    found = compare(
        model, quantised, data, methods=[method], calibrate=True, layers=False, options=options, samples=COMPARED,
        **settings,
    )  # fmt: skip
    return Agreement(method, found)


def check_float(model: Model) -> None:
    """Raises InputError of a model that static quantisation does not apply to."""
    name = model.path or "the model"
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    rounding = [node.op_type for node in nodes if any(part in node.op_type for part in _QUANTISED)]
    rounding += [node.op_type for node in nodes if node.op_type.endswith("Integer")]
    if rounding:
        raise InputError(f"{name} is quantised already (it has {rounding[0]}): leave out --quantize")
    halves = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    if any(value.dtype in halves for value in model.graph.initializers.values()):
        raise InputError(f"{name} has half-precision weights; quantise the float32 model that it was made of")
    if not any(node.op_type in _LAYERS for node in nodes):
        raise InputError(f"{name} has nothing to quantise: no Conv, ConvTranspose, Gemm or MatMul")
    if model.large:
        raise InputError(f"{name} has weights of 2 GB or more, which are not quantised")


class _Reader:
    """What onnxruntime takes the samples from, one after another."""

    def __init__(self, feeds: Iterator[dict[str, np.ndarray]]) -> None:
        self.feeds = feeds

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self.feeds


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops what onnxruntime's quantisation logs of each node."""
    root = logging.getLogger()

    def is_other(record: logging.LogRecord) -> bool:
        return "quantization" not in Path(record.pathname).parts

    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)


def _feeds(model: Model, samples: Samples, preprocess: Preprocess | None) -> Iterator[dict[str, np.ndarray]]:
    for sample in islice(samples, CALIBRATING):
        try:
            given = prepare(model, sample.load(), preprocess or Preprocess.from_metadata(model.metadata))
        except OnnxrayError as error:
            raise InputError(f"{sample.name}: {error}") from error
        yield given.batch.take(given.batch.fill(np.arange(given.batch.examples)))


def _of_the_same_metadata(made: onnx.ModelProto, model: Model) -> Model:
    """The quantised model as ``load`` reads it, with the labels, preprocessing and layers of the float model."""
    del made.metadata_props[:]
    for key, value in model.metadata.items():
        made.metadata_props.add(key=key, value=value)
    found = load(made)
    if not any(node.op_type == "QuantizeLinear" for node in found.graph):
        raise InputError(f"onnxruntime quantised no layer of {model.path or 'the model'}")
    return found
