"""Gradient rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .attention_layers import AttentionLayers
from .attention_rollout import Rollout

__all__ = ["GradientRollout"]


@dataclass(frozen=True)
class GradientRollout(Rollout):
    """Attentions times their positive gradients, rolled up from layer to layer (Chefer, 2021, arXiv:2103.15679).

    A layer adds the mean over heads of max(gradient x attention, 0) to the identity. The identity of the tokens that
    the score reads is left out of the map: it is 1 for them whatever the model does.
    """

    name: ClassVar[str] = "gradient-rollout"
    blank: ClassVar[str] = "no attention raises the score: its product with its gradient is negative or zero everywhere"

    def wanted(self, layers: AttentionLayers) -> Sequence[ir.Value]:
        return layers.probabilities

    def back(self, g: GraphBuilder, at: ir.Value, attention: ir.Value, gradient: ir.Value | None) -> ir.Value:
        relevance = g.ReduceMean(g.Relu(g.Mul(gradient, attention)), [1], keepdims=0)
        return g.Add(at, g.MatMul(at, relevance))

    def placed(self, g: GraphBuilder, at: ir.Value, start: ir.Value, layers: AttentionLayers, x: ir.Value) -> ir.Value:
        return super().placed(g, g.Sub(at, start), start, layers, x)
