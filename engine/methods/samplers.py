"""Samplers: the points at which a method looks at a model, and what each point counts.

A sampler lists what differs between its points as arrays whose first axis counts them, and says what the model sees at
a point. Two names have a meaning for every sampler: ``weight`` is what a point's contribution counts in the sum, and
``ends`` what a point's score counts in the completeness of the sum (+1 for the input, -1 for the baseline of a path).
Point 0 is always the input itself, so that the first run settles target and score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .baseline import Baseline, check_baseline
from .blurred import baseline_value
from .explained import Explained, broadcast_rows

__all__ = ["ENDS", "FIRST", "WEIGHT", "Noise", "Path", "Sampler"]

WEIGHT, ENDS, FIRST = "weight", "ends", "first"
_BYTES = 256


class Sampler(ABC):
    """The points at which a method looks at a model."""

    @abstractmethod
    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        """The numbers that differ between points: float32 arrays whose first axis counts them."""

    @abstractmethod
    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        """The input of the model at a point."""

    def numbered(self, k: int) -> Sampler:
        """The same sampler as the k-th of several: one that draws numbers draws others than its siblings."""
        return self


@dataclass(frozen=True)
class Path(Sampler):
    """The straight path from a baseline to the input: its points are the input, the baseline and those between.

    ``rule`` is "gauss-legendre", or "inclusive": equal weights on a grid with both ends.
    """

    steps: int
    baseline: Baseline
    rule: Literal["gauss-legendre", "inclusive"]

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        check_baseline(self.baseline, explained)
        if self.rule == "inclusive":
            alphas, weights = np.linspace(0, 1, self.steps), np.full(self.steps, 1 / self.steps)
            order = [self.steps - 1, *range(self.steps - 1)]
            alphas, weights = alphas[order], weights[order]
        else:
            nodes, areas = np.polynomial.legendre.leggauss(self.steps)
            alphas, weights = np.append([1, 0], (1 + nodes) / 2), np.append([0, 0], areas / 2)
        ends = np.append([1, -1], np.zeros(len(alphas) - 2))
        return {"alpha": _float32(alphas), WEIGHT: _float32(weights), ENDS: _float32(ends)}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        start = baseline_value(g, x, self.baseline, about)
        alpha = broadcast_rows(g, g.CastLike(points["alpha"], x), x, about)
        return g.shaped_like(g.Add(g.Mul(alpha, x), g.Mul(g.Sub(1, alpha), start)), x)  # both ends to the last bit


@dataclass(frozen=True)
class Noise(Sampler):
    """Noisy copies of the input; ``level`` is the standard deviation as a share of the example's range (max - min).

    The noise of sample s depends on ``seed``, ``stream`` and s alone, so that an example has the same map in every
    batch; of several samplers each has a ``stream`` of its own.
    """

    samples: int
    level: float
    seed: int
    stream: int = 0

    def numbered(self, k: int) -> Sampler:
        return replace(self, stream=k)

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        weights = _float32(np.append(0, np.full(self.samples, 1 / self.samples)))
        return {WEIGHT: weights} | {f"noise/{name}": self._drawn(about) for name, about in explained.items()}

    def _drawn(self, about: Explained) -> np.ndarray:
        shape, channels = about.sizes("smoothgrad needs"), about.channels
        stream = [_BYTES + self.stream] if self.stream else []  # no byte of a name
        rng = np.random.default_rng([self.seed, *about.name.encode(), *stream])
        if channels:  # drawn with the channels first, so that NHWC sees the noise of NCHW
            shape.insert(0, shape.pop(channels))
        draws = np.concatenate([np.zeros((1, *shape)), rng.standard_normal((self.samples, *shape))])
        return _float32(np.moveaxis(draws, 1, 1 + channels) if channels else draws)

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        axes = [axis for axis in range(g.rank(x)) if axis != about.batch]
        most, least = (g.ReduceMax(x, axes, keepdims=1), g.ReduceMin(x, axes, keepdims=1)) if axes else (x, x)
        spread = g.Mul(self.level, g.Sub(most, least))
        noise = g.CastLike(points[f"noise/{about.name}"], x)
        if about.batch:
            noise = g.Transpose(noise, perm=[*range(1, about.batch + 1), 0, *range(about.batch + 1, g.rank(x))])
        return g.shaped_like(g.Add(x, g.Mul(spread, g.reshape_like(noise, x) if about.batch is None else noise)), x)


def _float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)
