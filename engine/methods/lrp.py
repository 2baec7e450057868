"""Layer-wise relevance propagation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..autodiff.composites import COMPOSITES
from ..support.choice import choose
from .base import EmitContext, Emitted, Method
from .contributions import contributions
from .saliency import Saliency

__all__ = ["Lrp"]


@dataclass(frozen=True)
class Lrp(Method):
    """Share of the score, handed back from layer to layer (Bach et al., 2015, doi 10.1371/journal.pone.0130140).

    ``composite`` says which layer takes which rule: convolutions z+ ("epsilon-plus"; "epsilon-plus-flat" with flat
    for the first layer), alpha-beta ("epsilon-alpha2-beta1") or gamma with the z-box rule for the first layer, within
    the example's own least and most ("epsilon-gamma-box"), and dense layers epsilon; or every layer epsilon
    ("epsilon"). "attnlrp" is for transformers (Achtibat et al., 2024, arXiv:2402.05602). ``delta`` is the sum of the
    relevances less the score, as biases keep a part; the provenance lists the nodes by the rule that they got.
    """

    name: ClassVar[str] = "lrp"
    composite: Literal[
        "epsilon", "epsilon-plus", "epsilon-plus-flat", "epsilon-alpha2-beta1", "epsilon-gamma-box", "attnlrp"
    ] = field(
        default="epsilon-plus", metadata={"help": "which layers take which rule of LRP, such as epsilon-plus-flat"}
    )

    def __post_init__(self) -> None:
        choose(self.composite, COMPOSITES, "composite")

    def emit(self, context: EmitContext) -> Emitted:
        return Emitted(*contributions(context, COMPOSITES[self.composite]), context.differentiable_score)

    def relaxed(self) -> list[tuple[Method, str]]:
        return [
            (Saliency(), "the score is zero, or the input is wherever relevance arrives; saliency shows the gradient")
        ]
