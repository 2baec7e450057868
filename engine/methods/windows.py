"""Windows: the points at which parts of the input are covered by a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .baseline import Baseline, check_baseline
from .blurred import baseline_value
from .explained import Explained
from .samplers import Sampler

__all__ = ["Extent", "Windows", "weights_of"]

Extent = int | Sequence[int] | None


@dataclass(frozen=True)
class Windows(Sampler):
    """Every window of the input covered by a baseline, one point each; of several inputs each is covered in turn.

    ``window`` and ``stride`` as in ``Occlusion``; with ``overlap`` "mean" an element's weight is one over the windows
    that cover it, with "sum" 1.
    """

    window: Extent
    stride: Extent
    baseline: Baseline
    overlap: str

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
        sizes = about.sizes("occlusion needs")
        if not sizes:
            return [np.ones((1, 1))]
        widths = self._extent(self.window, "window", about, _seventh(sizes), sizes)
        strides = self._extent(self.stride, "stride", about, [-(-width // 2) for width in widths], widths)
        return [_axis_windows(n, w, s, self.overlap) for n, w, s in zip(sizes, widths, strides, strict=True)]

    @staticmethod
    def _extent(given: Extent, name: str, about: Explained, default: Sequence[int], whole: Sequence[int]) -> list[int]:
        numbers = list(default) if given is None else list(given) if isinstance(given, Sequence) else [given]
        if not all(isinstance(n, int | np.integer) and n >= 1 for n in numbers):
            raise InputError(f"{name}={given}: give a number from 1 up, or several for {about.name!r} {about.shape}")
        channel = None if about.channels is None else whole[about.channels]
        if not isinstance(given, Sequence):
            every = numbers if given is None else numbers * len(about.shape)
            return [channel or n if axis == about.channels else n for axis, n in enumerate(every)]
        return [n or 0 for n in about.per_axis(given, channel, name, " from 1 up")]

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        start = baseline_value(g, x, self.baseline, about)
        return g.shaped_like(g.Where(g.Greater(weights_of(g, about, points), 0), start, x), x)


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


def weights_of(g: GraphBuilder, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
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
