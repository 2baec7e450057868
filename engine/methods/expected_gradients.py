"""Expected gradients: integrated gradients from a distribution of baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted, Method
from .baseline import Baseline, baseline_examples, check_baseline
from .checks import check_draws
from .explained import Explained, broadcast_rows
from .option_help import BASELINE, SEED
from .saliency import Saliency
from .samplers import ENDS, FIRST, WEIGHT, Sampler
from .zero_maps import AT_BASELINE

__all__ = ["DrawnBaselines", "EveryBaseline", "ExpectedGradients"]


@dataclass(frozen=True)
class DrawnBaselines(Sampler):
    """Points at random places of the straight paths from baseline examples, each of which is drawn equally often.

    Of several inputs, the examples of one row stand beside each other.
    """

    samples: int
    baseline: Baseline
    seed: int

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        count, rng = _count(self.baseline, explained), np.random.default_rng(self.seed)
        rounds = [rng.permutation(count) for _ in range(-(-self.samples // count))]
        examples = np.concatenate([[0], np.concatenate(rounds)[: self.samples]])
        alphas = np.append(1, rng.random(self.samples))
        weights = np.append(0, np.full(self.samples, 1 / self.samples))
        arrays = {"alpha": alphas, "example": examples, WEIGHT: weights}
        return {name: array.astype(np.float32) for name, array in arrays.items()}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        alpha = broadcast_rows(g, g.CastLike(points["alpha"], x), x, about)
        start = _starts(g, x, about, points, self.baseline)
        return g.shaped_like(g.Add(g.Mul(alpha, x), g.Mul(g.Sub(1, alpha), start)), x)


@dataclass(frozen=True)
class EveryBaseline(Sampler):
    """The input, and each baseline example in the place of the input once; NaN is a value that is missing."""

    baseline: Baseline

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        count = _count(self.baseline, explained, missing=True)
        each = np.full(count, 1 / count)
        arrays = {"example": [0, *range(count)], FIRST: [1, *[0] * count], WEIGHT: [0, *each], ENDS: [1, *-each]}
        return {name: np.array(array, np.float32) for name, array in arrays.items()}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        first = broadcast_rows(g, g.Cast(points[FIRST], to=ir.DataType.BOOL), x, about)
        return g.shaped_like(g.Where(first, x, _starts(g, x, about, points, self.baseline, missing=True)), x)


@dataclass(frozen=True)
class ExpectedGradients(Method):
    """Mean of (x - baseline) times gradient at random places between them (Erion et al., 2021, arXiv:1906.10670).

    ``baseline`` are the examples that are drawn from, an array with one more axis than an example, such as rows of the
    training data; a single one serves, too. Each is drawn equally often, at places of uniform distribution, by
    ``seed``. With noise, as smoothgrad takes with of="expected-gradients", this is GradientSHAP (Lundberg and Lee,
    2017). The sum of a map nears f(x) less the mean of f over the baselines as ``samples`` grow.
    """

    name: ClassVar[str] = "expected-gradients"
    by_gradient_alone: ClassVar[bool] = True
    samples: int = field(default=50, metadata={"help": "drawn baselines"})
    baseline: Baseline = field(default=0.0, metadata=BASELINE)
    seed: int = field(default=0, metadata=SEED)

    def __post_init__(self) -> None:
        check_draws(self.samples, self.seed)

    def _sampler(self) -> DrawnBaselines:
        return DrawnBaselines(self.samples, self.baseline, self.seed)

    def samplers(self) -> Sequence[Sampler]:
        return (self._sampler(),)

    def emit(self, context: EmitContext) -> Emitted:
        g, (gradients, activations) = context.g, context.gradients()
        totals = {}
        for name, dx in gradients.items():
            x, about = context.inputs[name], context.explained[name]
            totals[name] = g.Mul(g.Sub(x, _starts(g, x, about, context.points, self.baseline)), dx)
        return Emitted(totals, activations)

    def example_inputs(
        self, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
    ) -> dict[str, np.ndarray]:
        return {}  # its baselines are examples of the data, the same for each

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(Saliency(), AT_BASELINE)]


def _count(baseline: Baseline, explained: Mapping[str, Explained], missing: bool = False) -> int:
    """How many baseline examples there are; an InputError where the inputs have different numbers of them."""
    check_baseline(baseline, explained)
    counts = {len(baseline_examples(baseline, about, missing)) for about in explained.values()} - {1}
    if len(counts) > 1:
        raise InputError(f"baseline: {' and '.join(map(str, sorted(counts)))} examples for the inputs; give as many")
    return max(counts, default=1)


def _starts(
    g: GraphBuilder,
    x: ir.Value,
    about: Explained,
    points: Mapping[str, ir.Value],
    baseline: Baseline,
    missing: bool = False,
) -> ir.Value:
    """The baselines of the rows, in the shape of the input."""
    examples = baseline_examples(baseline, about, missing)
    number = (
        g.Cast(points["example"], to=ir.DataType.INT64) if len(examples) > 1 else g.constant([0], ir.DataType.INT64)
    )
    rows = g.Gather(g.constant(examples, x.dtype), number, axis=0)
    if about.batch is None:
        return g.reshape_like(rows, x)
    batch = about.batch
    perm = [*range(1, batch + 1), 0, *range(batch + 1, g.rank(x))]
    return g.Transpose(rows, perm=perm) if batch else rows
