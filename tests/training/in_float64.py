"""A gradient graph in float64, as it is: onnx's reference evaluator, its slow operators by PyTorch.

Weights and inputs go in as float64 and nothing in a graph of these operators rounds to float32 on the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch.nn import functional

__all__ = ["in_float64", "run_in_float64"]


def _tensors(*arrays: np.ndarray | None) -> list[torch.Tensor | None]:
    return [None if a is None else torch.from_numpy(np.ascontiguousarray(a, np.float64)) for a in arrays]


def _padding(pads: list[int] | None) -> list[int]:
    half = len(pads or [0, 0, 0, 0]) // 2
    if pads and pads[:half] != pads[half:]:
        raise ValueError(f"pads {pads} differ on the two sides")
    return list(pads or [0, 0, 0, 0])[:half]


class Conv(OpRun):
    """Images."""

    def _run(self, x, w, b=None, auto_pad=None, dilations=None, group=1, kernel_shape=None, pads=None, strides=None):
        top, left, bottom, right = pads or [0] * 4
        padded = np.pad(x, [(0, 0), (0, 0), (top, bottom), (left, right)])
        at = (strides or 1, 0, dilations or 1, group)
        return (functional.conv2d(*_tensors(padded, w, b), *at).numpy(),)  # type: ignore[arg-type]


class ConvTranspose(OpRun):
    """Images."""

    def _run(self, x, w, b=None, auto_pad=None, dilations=None, group=1, kernel_shape=None, output_padding=None,
             output_shape=None, pads=None, strides=None):  # fmt: skip
        top, left, bottom, right = pads or [0] * 4
        at = (strides or 1, 0, output_padding or 0, group, dilations or 1)
        y = functional.conv_transpose2d(*_tensors(x, w, b), *at).numpy()  # type: ignore[arg-type]
        return (y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right],)


class MaxPool(OpRun):
    """Images; the places of the maxima counted through the whole tensor."""

    def _run(self, x, auto_pad=None, ceil_mode=0, dilations=None, kernel_shape=None, pads=None, storage_order=0,
             strides=None):  # fmt: skip
        (given,) = _tensors(x)
        at: Any = (given, kernel_shape, strides, _padding(pads), dilations or 1, bool(ceil_mode))
        y, places = functional.max_pool2d_with_indices(*at)
        images = np.arange(y.shape[0] * y.shape[1]).reshape(*y.shape[:2], 1, 1)
        return (y.numpy(), places.numpy() + images * x.shape[2] * x.shape[3])[: len(self.onnx_node.output)]


class ScatterElements(OpRun):
    """reduction="add" along the one axis."""

    def _run(self, data, indices, updates, axis=None, reduction=None):
        if data.ndim != 1 or reduction != "add":
            raise ValueError(f"ScatterElements of {data.ndim} axes with reduction {reduction}")
        return (np.bincount(indices, np.asarray(updates, np.float64), len(data)),)


def _widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights in float64."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    return copy


def in_float64(model: onnx.ModelProto) -> ReferenceEvaluator:
    """An evaluator of the model with its weights in float64."""
    return ReferenceEvaluator(_widened(model), new_ops=[Conv, ConvTranspose, MaxPool, ScatterElements])


def run_in_float64(evaluator: ReferenceEvaluator, feeds: dict[str, np.ndarray], output: str) -> np.ndarray:
    """One output of a model; raises ValueError where something on the way was rounded to float32."""
    wide = {name: x.astype(np.float64) if x.dtype.kind == "f" else x for name, x in feeds.items()}
    (found,) = evaluator.run([output], wide)
    if not isinstance(found, np.ndarray) or found.dtype != np.float64:
        raise ValueError(f"{output} is no array of float64")
    return found
