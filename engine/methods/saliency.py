"""Plain gradients, and what Relu policies make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import EmitContext, Emitted, Method, Reduction
from .contributions import contributions
from .zero_maps import BLOCKED

__all__ = ["Deconvnet", "GuidedBackprop", "InputXGradient", "Saliency"]


@dataclass(frozen=True)
class Saliency(Method):
    """Gradient of the score with respect to the input, signed (Simonyan et al., 2013, arXiv:1312.6034)."""

    name: ClassVar[str] = "saliency"
    by_gradient_alone: ClassVar[bool] = True
    reduction: ClassVar[Reduction] = "norm"

    def emit(self, context: EmitContext) -> Emitted:
        return Emitted(*context.gradients(self.relu_policy))


@dataclass(frozen=True)
class GuidedBackprop(Saliency):
    """Gradient that Relu passes where input and gradient are positive (Springenberg et al., 2014, arXiv:1412.6806)."""

    name: ClassVar[str] = "guided-backprop"
    relu_policy: ClassVar[str] = "guided"

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(Saliency(), BLOCKED)]


@dataclass(frozen=True)
class Deconvnet(Saliency):
    """Gradient that a Relu passes where the gradient is positive (Zeiler and Fergus, 2013, arXiv:1311.2901)."""

    name: ClassVar[str] = "deconvnet"
    relu_policy: ClassVar[str] = "deconvnet"

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(Saliency(), BLOCKED)]


@dataclass(frozen=True)
class InputXGradient(Method):
    """Input times gradient (Shrikumar et al., 2016, arXiv:1605.01713)."""

    name: ClassVar[str] = "input-x-gradient"
    by_gradient_alone: ClassVar[bool] = True

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(Saliency(), "the input is zero wherever the gradient is not; saliency shows the gradient")]

    def emit(self, context: EmitContext) -> Emitted:
        return Emitted(*contributions(context))
