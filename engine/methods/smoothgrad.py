"""SmoothGrad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ..autodiff.backward import Activation
from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Explained, Method, Reduction, broadcast_rows
from .checks import check_level, check_whole

__all__ = ["SmoothGrad"]


@dataclass(frozen=True)
class SmoothGrad(Method):
    """Mean gradient over noisy copies of the input (Smilkov et al., 2017, arXiv:1706.03825).

    ``noise`` is the standard deviation as a share of the example's range (max - min). The noise of sample s depends
    on ``seed`` and s alone, so that an example has the same map in every batch.
    """

    name: ClassVar[str] = "smoothgrad"
    reduction: ClassVar[Reduction] = "norm"
    samples: int = 25
    noise: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("samples", self.samples, 1)
        check_whole("seed", self.seed, 0)
        check_level("noise", self.noise)

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        weights = np.append(0, np.full(self.samples, 1 / self.samples)).astype(np.float32)
        return {"weight": weights} | {f"noise/{name}": self._noise(about) for name, about in explained.items()}

    def _noise(self, about: Explained) -> np.ndarray:
        if None in about.shape:
            raise InputError(f"smoothgrad needs the shape of input {about.name!r}, which is open: {about.shape}")
        rng = np.random.default_rng([self.seed, *about.name.encode()])
        shape, channels = [size or 0 for size in about.shape], about.channels
        if channels:  # drawn with the channels first, so that NHWC sees the noise of NCHW
            shape.insert(0, shape.pop(channels))
        draws = np.concatenate([np.zeros((1, *shape)), rng.standard_normal((self.samples, *shape))])
        return (np.moveaxis(draws, 1, 1 + channels) if channels else draws).astype(np.float32)

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        axes = [axis for axis in range(g.rank(x)) if axis != (about.batch or 0)]
        spread = g.Mul(self.noise, g.Sub(g.ReduceMax(x, axes, keepdims=1), g.ReduceMin(x, axes, keepdims=1)))
        noise = g.CastLike(points[f"noise/{about.name}"], x)
        if about.batch:
            noise = g.Transpose(noise, perm=[*range(1, about.batch + 1), 0, *range(about.batch + 1, g.rank(x))])
        return g.shaped_like(g.Add(x, g.Mul(spread, g.reshape_like(noise, x) if about.batch is None else noise)), x)

    def emit(self, context: EmitContext) -> tuple[Sequence[ir.Value], tuple[Activation, ...]]:
        g, (gradients, activations) = context.g, context.gradients()
        parts = []
        for (name, x), dx in zip(context.inputs.items(), gradients, strict=True):
            weight = broadcast_rows(g, g.CastLike(context.points["weight"], x), x, context.explained[name])
            parts.append(g.Mul(weight, dx))
        return parts, activations
