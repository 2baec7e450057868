"""From the relevance of a first layer's input back to the model's: moved, and passed on by scales and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .layer_finder import LayerFinder
from .registry import NO_GRADIENT, Gradients, Overlay, Rule, as_rule
from .relevance_operators import MOVES, refused

__all__ = ["MOVED"]


@dataclass(frozen=True)
class _Moved(Overlay):
    """From the relevance of a first layer's input back to the model's: moved, and passed on by scales and offsets."""

    finder: LayerFinder | None = field(default=None, repr=False, compare=False)

    def for_pass(self) -> _Moved:
        return replace(self, finder=LayerFinder())

    def rule(self, node: ir.Node) -> Rule | None:
        if (node.domain, node.op_type) in NO_GRADIENT or (node.domain == "" and node.op_type in MOVES):
            return None
        offsets = node.domain == "" and node.op_type in {"Add", "Sub", "Mul", "Div", "BatchNormalization"}
        varying = [*map((self.finder or LayerFinder()).varies, node.inputs)]
        return as_rule(partial(_hand_on, varying) if offsets and sum(varying) == 1 else refused)


MOVED = _Moved("relevance of the first layer's input")


def _hand_on(varying: Sequence[bool], g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    return [dy if one else None for one in varying]
