"""Integrated gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ..autodiff.backward import Activation
from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Explained, Method, broadcast_rows
from .baseline import Baseline, baseline_array, check_baseline
from .checks import check_whole
from .saliency import Saliency

__all__ = ["IntegratedGradients"]


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """Mean gradient on the straight path from a baseline, times the way (Sundararajan et al., 2017, arXiv:1703.01365).

    ``rule`` is "gauss-legendre", or "inclusive": equal weights on a grid with both ends. The points are the input, the
    baseline and the rest of the path, so that ``delta``, the sum of the attributions less f(x) - f(baseline), is free.
    """

    name: ClassVar[str] = "integrated-gradients"
    steps: int = 50
    baseline: Baseline = 0.0
    rule: Literal["gauss-legendre", "inclusive"] = "gauss-legendre"

    def __post_init__(self) -> None:
        least = 2 if self.rule == "inclusive" else 1
        if self.rule not in ("gauss-legendre", "inclusive"):
            raise InputError(f"rule {self.rule!r}: choose 'gauss-legendre' or 'inclusive'")
        check_whole("steps", self.steps, least)

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        check_baseline(self.baseline, explained)
        if self.rule == "inclusive":
            alphas, weights = np.linspace(0, 1, self.steps), np.full(self.steps, 1 / self.steps)
            order = [self.steps - 1, *range(self.steps - 1)]
            alphas, weights = alphas[order], weights[order]
        else:
            nodes, areas = np.polynomial.legendre.leggauss(self.steps)
            alphas, weights = np.append([1, 0], (1 + nodes) / 2), np.append([0, 0], areas / 2)
        return {"alpha": alphas.astype(np.float32), "weight": weights.astype(np.float32)}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        start = g.constant(baseline_array(self.baseline, about), x.dtype)
        alpha = broadcast_rows(g, g.CastLike(points["alpha"], x), x, about)
        return g.shaped_like(g.Add(start, g.Mul(alpha, g.Sub(x, start))), x)

    def emit(self, context: EmitContext) -> tuple[Sequence[ir.Value], tuple[Activation, ...]]:
        g, (gradients, activations) = context.g, context.gradients()
        parts = []
        for (name, x), dx in zip(context.inputs.items(), gradients, strict=True):
            about = context.explained[name]
            way = g.Sub(x, g.constant(baseline_array(self.baseline, about), x.dtype))
            weight = broadcast_rows(g, g.CastLike(context.points["weight"], x), x, about)
            parts.append(g.Mul(weight, g.Mul(way, dx)))
        return parts, activations

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(Saliency(), "the input is the baseline wherever the gradient is not zero; choose another baseline=")]

    def delta(self, total: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return total - (scores[:, 0] - scores[:, 1])
