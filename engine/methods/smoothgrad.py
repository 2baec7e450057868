"""SmoothGrad, over any method that takes gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from ..support.choice import choose
from .base import EmitContext, Emitted, Method, Reduction
from .checks import check_draws, check_level
from .expected_gradients import ExpectedGradients
from .explained import Explained
from .integrated_gradients import IntegratedGradients
from .option_help import SEED
from .saliency import Deconvnet, GuidedBackprop, InputXGradient, Saliency
from .sampler_products import of_sampler, perturb
from .samplers import Noise, Sampler

__all__ = ["SmoothGrad"]

Of = str | Method
_OF: dict[str, type[Method]] = {
    method.name: method
    for method in (Saliency, InputXGradient, GuidedBackprop, Deconvnet, IntegratedGradients, ExpectedGradients)
}
_STATISTICS = ("mean", "squared", "variance")


@dataclass(frozen=True)
class SmoothGrad(Method):
    """Mean gradient over noisy copies of the input (Smilkov et al., 2017, arXiv:1706.03825).

    ``noise`` is the standard deviation as a share of the example's range (max - min). The noise of sample s depends
    on ``seed`` and s alone, so that an example has the same map in every batch.

    ``of`` is the method whose maps of the copies are taken, by name or with its options, which SmoothGrad's own
    options may name, too; integrated gradients go from the baseline to each copy. ``statistic`` is their "mean", the
    mean of their squares ("squared": SmoothGrad-squared, Hooker et al., 2019, arXiv:1806.10758), or their "variance",
    divided by the number of copies (VarGrad, Adebayo et al., 2018, arXiv:1810.03292).
    """

    name: ClassVar[str] = "smoothgrad"
    by_gradient_alone: ClassVar[bool] = True
    samples: int = field(default=25, metadata={"help": "noisy copies"})
    noise: float = field(default=0.15, metadata={"help": "level of the noise, as a share of the input's range"})
    seed: int = field(default=0, metadata=SEED)
    of: Of = field(
        default="saliency",
        metadata={
            "help": "the method whose maps of noisy copies are taken: a method that takes gradients of the input"
        },
    )
    statistic: Literal["mean", "squared", "variance"] = field(
        default="mean", metadata={"help": "mean, squared (mean of the squares) or variance of the maps of noisy copies"}
    )

    def __post_init__(self) -> None:
        check_draws(self.samples, self.seed)
        check_level("noise", self.noise)
        if self.statistic not in _STATISTICS:
            raise InputError(f"statistic {self.statistic!r}: choose {', '.join(map(repr, _STATISTICS))}")
        if type(self.inner) not in _OF.values():
            raise InputError(f"of={self.inner.name!r}: choose {', '.join(map(repr, _OF))}")
        if self.statistic != "mean" and self.inner.samplers():
            raise InputError(
                f"statistic {self.statistic!r} squares the map of each copy, and {self.inner.name} has several points "
                "for one; choose statistic='mean' or another of="
            )

    @classmethod
    def configured(cls, options: Mapping[str, Any]) -> Method:
        """The options that are not its own are those of the method ``of``."""
        own = {name: value for name, value in options.items() if name in [field.name for field in fields(cls)]}
        rest = {name: value for name, value in options.items() if name not in own}
        of = own.get("of", "saliency")
        if rest and isinstance(of, str) and (inner := _OF[choose(of, _OF, "of")]) and fields(inner):
            return cls(**{**own, "of": inner.configured(rest)})
        return super().configured(options)

    @cached_property
    def inner(self) -> Method:
        return self.of if isinstance(self.of, Method) else _OF[choose(self.of, _OF, "of")]()

    @property
    def reduction(self) -> Reduction:  # type: ignore[override]  # hangs on an option
        return self.inner.reduction if self.statistic == "mean" else "norm"

    @property
    def finishes(self) -> bool:
        return self.statistic == "variance" or type(self).finish is not SmoothGrad.finish

    def samplers(self) -> Sequence[Sampler]:
        return (Noise(self.samples, self.noise, self.seed), *self.inner.samplers())

    def emit(self, context: EmitContext) -> Emitted:
        g, noise = context.g, self.samplers()[:1]
        copies = {
            name: perturb(g, noise, x, context.explained[name], context.points) for name, x in context.inputs.items()
        }
        emitted = self.inner.emit(replace(context, inputs=copies, points=of_sampler(context.points, 1)))
        if self.statistic == "mean":
            return emitted
        squares = {name: g.Mul(total, total) for name, total in emitted.totals.items()}
        if self.statistic == "squared":
            return replace(emitted, totals=squares)
        return replace(emitted, totals={**emitted.totals, **{f"{name}/square": x for name, x in squares.items()}})

    def finish(
        self, g: GraphBuilder, totals: Mapping[str, ir.Value], explained: Mapping[str, Explained]
    ) -> Mapping[str, ir.Value]:
        means = super().finish(g, totals, explained)
        if self.statistic != "variance":
            return means
        return {  # rounding may lead below 0
            name: g.Relu(g.Sub(totals[f"{name}/square"], g.Mul(mean, mean))) for name, mean in means.items()
        }

    def example_inputs(
        self, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
    ) -> Mapping[str, np.ndarray]:
        return self.inner.example_inputs(arrays, explained)

    def relaxed(self) -> list[tuple[Method, str]]:
        return self.inner.relaxed()
