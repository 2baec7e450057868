"""SmoothGrad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .base import EmitContext, Emitted, Method, Reduction
from .checks import check_level, check_whole
from .samplers import Noise, Sampler

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

    def samplers(self) -> Sequence[Sampler]:
        return (Noise(self.samples, self.noise, self.seed),)

    def emit(self, context: EmitContext) -> Emitted:
        return Emitted(*context.gradients())
