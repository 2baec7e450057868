"""Integrated gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..errors import InputError
from .base import EmitContext, Emitted, Method
from .baseline import Baseline
from .blurred import baseline_value
from .checks import check_whole
from .option_help import BASELINE
from .saliency import Saliency
from .samplers import Path, Sampler
from .zero_maps import AT_BASELINE

__all__ = ["IntegratedGradients"]


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """Mean gradient on the straight path from a baseline, times the way (Sundararajan et al., 2017, arXiv:1703.01365).

    ``rule`` is "gauss-legendre", or "inclusive": equal weights on a grid with both ends. The points are the input, the
    baseline and the rest of the path, so that ``delta``, the sum of the attributions less f(x) - f(baseline), is free.
    ``baseline`` may be "blurred", the input under a Gaussian, or "blurred:10", with its deviation in elements; one for
    each example, an array whose first axis counts them; or "mean", that of the examples that are explained together.
    """

    name: ClassVar[str] = "integrated-gradients"
    by_gradient_alone: ClassVar[bool] = True
    steps: int = field(default=50, metadata={"help": "points on the path"})
    baseline: Baseline = field(default=0.0, metadata=BASELINE)
    rule: Literal["gauss-legendre", "inclusive"] = field(
        default="gauss-legendre", metadata={"help": "gauss-legendre or inclusive (equal weights, both ends)"}
    )

    def __post_init__(self) -> None:
        least = 2 if self.rule == "inclusive" else 1
        if self.rule not in ("gauss-legendre", "inclusive"):
            raise InputError(f"rule {self.rule!r}: choose 'gauss-legendre' or 'inclusive'")
        check_whole("steps", self.steps, least)

    def samplers(self) -> Sequence[Sampler]:
        return (Path(self.steps, self.baseline, self.rule),)

    def emit(self, context: EmitContext) -> Emitted:
        g, (gradients, activations) = context.g, context.gradients()
        abouts = context.explained
        ways = {name: g.Sub(x, baseline_value(g, x, self.baseline, abouts[name])) for name, x in context.inputs.items()}
        return Emitted({name: g.Mul(ways[name], dx) for name, dx in gradients.items()}, activations)

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(Saliency(), AT_BASELINE)]
