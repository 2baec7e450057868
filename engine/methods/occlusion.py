"""Occlusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ..autodiff.backward import Activation
from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Explained, Method, Reduction, broadcast_rows
from .baseline import Baseline, baseline_array, check_baseline

__all__ = ["Extent", "Occlusion"]

Extent = int | Sequence[int] | None


@dataclass(frozen=True)
class Occlusion(Method):
    """Fall of the score when a window of the input is covered by a baseline (Zeiler and Fergus, 2013, arXiv:1311.2901).

    ``window`` and ``stride`` are a number for every axis but the channels (which are covered whole), or one per axis
    of an example; by default a seventh of each axis (of a vector 1), moved by half. An element has the mean over the
    windows that cover it, or with overlap="sum" the sum. The last window may reach over the end, as in Captum. Of
    several inputs each is covered in turn, while the others stay.
    """

    name: ClassVar[str] = "occlusion"
    reduction: ClassVar[Reduction] = "mean"
    differentiates: ClassVar[bool] = False
    blank: ClassVar[str] = "covering a window never changes the score; choose a larger window= or another baseline="
    window: Extent = None
    stride: Extent = None
    baseline: Baseline = 0.0
    overlap: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        if self.overlap not in ("mean", "sum"):
            raise InputError(f"overlap {self.overlap!r}: choose 'mean' or 'sum'")

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        """A window is a product of one weight vector per axis; point 0 has none, nor has an input while another's turn
        is."""
        check_baseline(self.baseline, explained)
        vectors = {about.name: _chosen(self._windows(about)) for about in explained.values()}
        count, start, points = 1 + sum(len(of[0]) for of in vectors.values()), 1, {}
        for name, of in vectors.items():
            for axis, chosen in enumerate(of):
                points[f"{name}/axis{axis}"] = np.zeros((count, chosen.shape[1]), np.float32)
                points[f"{name}/axis{axis}"][start : start + len(chosen)] = chosen
            start += len(of[0])
        return points

    def _windows(self, about: Explained) -> list[np.ndarray]:
        """For each axis the weights (windows, size): 1 inside over how many windows cover the element."""
        if None in about.shape:
            raise InputError(f"occlusion needs the shape of input {about.name!r}, which is open: {about.shape}")
        if not about.shape:
            return [np.ones((1, 1))]
        sizes = [size or 0 for size in about.shape]
        widths = self._extent(self.window, "window", about, _seventh(sizes), sizes)
        strides = self._extent(self.stride, "stride", about, [-(-width // 2) for width in widths], widths)
        return [_axis_windows(n, w, s, self.overlap) for n, w, s in zip(sizes, widths, strides, strict=True)]

    @staticmethod
    def _extent(given: Extent, name: str, about: Explained, default: Sequence[int], whole: Sequence[int]) -> list[int]:
        rank = len(about.shape)
        per_axis = list(default) if given is None else list(given) if isinstance(given, Sequence) else [given] * rank
        if len(per_axis) != rank or not all(isinstance(n, int | np.integer) and n >= 1 for n in per_axis):
            raise InputError(
                f"{name}={given}: give a number from 1 up, or {rank} of them for {about.name!r} {about.shape}"
            )
        if about.channels is not None and not isinstance(given, Sequence):
            per_axis[about.channels] = whole[about.channels]
        return per_axis

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        start = g.constant(baseline_array(self.baseline, about), x.dtype)
        return g.shaped_like(g.Where(g.Greater(_weights(g, about, points), 0), start, x), x)

    def emit(self, context: EmitContext) -> tuple[Sequence[ir.Value], tuple[Activation, ...]]:
        g, fall = context.g, context.g.Sub(context.reference, context.score)
        return [
            g.shaped_like(g.Mul(broadcast_rows(g, fall, x, about), _weights(g, about, context.points)), x)
            for x, about in zip(context.inputs.values(), context.explained.values(), strict=True)
        ], ()


def _seventh(sizes: Sequence[int]) -> list[int]:
    """The default window: a seventh of each axis, of a vector one element."""
    return [max(1, round(size / 7)) for size in sizes] if len(sizes) > 1 else [1]


def _axis_windows(size: int, width: int, stride: int, overlap: str) -> np.ndarray:
    width = min(width, size)
    starts = stride * np.arange(-(-(size - width) // stride) + 1)
    places = np.arange(size)
    inside = ((places >= starts[:, None]) & (places < starts[:, None] + width)).astype(np.float64)
    return inside / np.maximum(inside.sum(0), 1) if overlap == "mean" else inside


def _chosen(axes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The weights of every window, a product of one of each axis: (windows, size) by axis."""
    choices = list(product(*(range(len(windows)) for windows in axes)))
    return [windows[[choice[axis] for choice in choices]] for axis, windows in enumerate(axes)]


def _weights(g: GraphBuilder, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
    """The windows of the rows, in the shape of the input."""
    if not about.shape:
        rows = [] if about.batch is None else [-1]  # of an example that is one number
        return g.Reshape(points[f"{about.name}/axis0"], g.constant(rows, ir.DataType.INT64))
    places = [axis for axis in range(len(about.shape) + (about.batch is not None)) if axis != about.batch]
    return g.Mul(*(_along(g, points[f"{about.name}/axis{k}"], axis, about) for k, axis in enumerate(places)))


def _along(g: GraphBuilder, weights: ir.Value, axis: int, about: Explained) -> ir.Value:
    """Weights (rows, size) along an axis of the input, whose rows lie along its axis of examples."""
    rank = len(about.shape) + (about.batch is not None)
    size = list(weights.shape or ())[1]
    dims = [1] * rank
    dims[axis] = size if isinstance(size, int) else -1
    if about.batch is not None:
        dims[about.batch] = -1
        weights = weights if about.batch < axis else g.Transpose(weights, perm=[1, 0])
    return g.Reshape(weights, dims)
