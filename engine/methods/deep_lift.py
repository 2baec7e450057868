"""DeepLIFT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..autodiff.one_row import add_stream_of_one_row
from ..autodiff.paths import depends_on, path_nodes
from ..autodiff.registry import FLOWS
from ..autodiff.rescale import Rescale
from ..autodiff.streams import add_stream
from ..errors import UnsupportedOperator
from ..graph.traversal import DependsOn, numbers_read
from .base import EmitContext, Emitted, Method
from .baseline import Baseline, check_baseline
from .blurred import baseline_value
from .option_help import BASELINE
from .saliency import Saliency
from .zero_maps import AT_BASELINE

__all__ = ["DeepLift"]


@dataclass(frozen=True)
class DeepLift(Method):
    """Difference from a baseline, times multipliers by the rescale rule (Shrikumar et al., 2017, arXiv:1704.02685).

    The multipliers share the change of the score out without a rest, through attention, normalisations, products and
    maxima, too; ``delta``, the sum of the attributions less f(x) - f(baseline), is what float32 leaves, and of a
    quantised model what rounding to integers brings. It takes two forward passes and one reverse pass.
    """

    name: ClassVar[str] = "deep-lift"
    compares: ClassVar[bool] = True
    baseline: Baseline = field(default=0.0, metadata=BASELINE)

    def emit(self, context: EmitContext) -> Emitted:
        g, given = context.g, context.perturbed_inputs
        check_baseline(self.baseline, context.explained)
        g.prefix = "reference"
        constants = {name: baseline_value(g, x, self.baseline, context.explained[name]) for name, x in given.items()}
        _refuse_subgraphs(context)
        score, settled, reference = context.differentiable_score, context.settled, None
        if all(about.batch == 0 for about in context.explained.values()):
            reference = add_stream_of_one_row(g, {x: constants[name] for name, x in given.items()}, score, settled)
        if reference is None:
            starts = {x: g.expand_like(constants[name], x) for name, x in given.items()}
            reference = add_stream(g, starts | {settled: settled}, [score])
        moves = DependsOn({*given.values()}.__contains__, numbers_read)
        multipliers, activations = context.gradients(Rescale("rescale", reference=reference, moves=moves))
        change = g.Sub(score, reference(score))
        total = {name: g.Mul(g.Sub(x, constants[name]), multipliers[name]) for name, x in given.items()}
        return Emitted(total, activations, change)

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(Saliency(), AT_BASELINE)]


def _refuse_subgraphs(context: EmitContext) -> None:
    """An UnsupportedOperator for an If or a Loop between input and score, whose branches may differ at the baseline."""
    among = depends_on(context.g.graph, context.perturbed_inputs.values())
    for node in path_nodes(context.g.graph, [context.differentiable_score], among):
        if (node.domain, node.op_type) in FLOWS:
            made = ", which LSTM, GRU and RNN become," if node.op_type == "Scan" else ""
            raise UnsupportedOperator(
                f"operator {node.op_type} (node {node.name!r}){made} has no rule of differences; method "
                "'integrated-gradients' compares with a baseline, too"
            )
