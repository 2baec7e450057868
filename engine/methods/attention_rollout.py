"""Attention rollout, and the base of the rollouts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..autodiff.backward import connected
from ..graph.builder import GraphBuilder
from .attention_layers import AttentionLayers, attention_layers, by_heads
from .base import EmitContext, Emitted, Method, Reduction

__all__ = ["AttentionRollout", "Rollout"]


@dataclass(frozen=True)
class Rollout(Method):
    """Base of the methods that follow attention from the tokens that the score reads back to the input.

    The score reads the tokens at which its gradient behind the last attention is not zero: the class token, the
    masked word, or all that a mean is taken of. The map starts there, (rows, 1, tokens), and goes back from layer to
    layer. Patches are folded to their grid, without the tokens of class and registers before them.
    """

    has_attention: ClassVar[bool] = True
    layer_sized: ClassVar[bool] = True
    reduction: ClassVar[Reduction] = "mean"
    uniform: ClassVar[str] = "every token gets the same attention"

    @abstractmethod
    def wanted(self, layers: AttentionLayers) -> Sequence[ir.Value]:
        """The attentions whose gradients are needed; the last is always among them."""

    @abstractmethod
    def back(self, g: GraphBuilder, at: ir.Value, attention: ir.Value, gradient: ir.Value | None) -> ir.Value:
        """The map before an attention from that behind it."""

    def emit(self, context: EmitContext) -> Emitted:
        g, layers = context.g, attention_layers(self.name, context)
        found = context.backward(self.wanted(layers))
        gradients = {x: by_heads(g, connected(found, x, [context.score]), context.score) for x in self.wanted(layers)}
        start = _read(g, gradients[layers.probabilities[-1]])
        at = start
        for x in reversed(layers.probabilities):
            at = self.back(g, at, by_heads(g, x, context.score), gradients.get(x))
        total = self.placed(g, at, start, layers, context.inputs[layers.source])
        if layers.grid is None:
            return Emitted({layers.source: total}, found.activations, input_sized=True)
        return Emitted({layers.source: total}, found.activations, layer=layers.last)

    def placed(self, g: GraphBuilder, at: ir.Value, start: ir.Value, layers: AttentionLayers, x: ir.Value) -> ir.Value:
        """The map of tokens as a map of the patches, or in the shape of the tokens' vectors."""
        if layers.grid is None:
            return g.expand_like(g.Transpose(at, perm=[0, 2, 1]), x)
        return g.Squeeze(layers.grid.fold(g, g.Transpose(at, perm=[0, 2, 1])), [3])


def _read(g: GraphBuilder, gradient: ir.Value) -> ir.Value:
    """The mean over the tokens that the score reads, as weights: (rows, 1, tokens)."""
    size = g.ReduceMax(g.Abs(gradient), [1, 3], keepdims=0)
    read = g.CastLike(g.Greater(size, 0.0), gradient)
    return g.Unsqueeze(g.Div(read, g.Max(g.ReduceSum(read, [1], keepdims=1), 1.0)), [1])


@dataclass(frozen=True)
class AttentionRollout(Rollout):
    """Attentions multiplied from layer to layer, with half for the residual path (Abnar, 2020, arXiv:2005.00928).

    A layer is the mean of its heads plus the identity, with rows that sum to 1. The target does not change the map, but
    by the tokens that its score is read from. Attention in windows, or without a Softmax, is an error.
    """

    name: ClassVar[str] = "attention-rollout"
    from_least: ClassVar[bool] = True  # attention that goes to all tokens alike is in each number
    blank: ClassVar[str] = "the score does not depend on the tokens behind the last attention"

    def wanted(self, layers: AttentionLayers) -> Sequence[ir.Value]:
        return layers.probabilities[-1:]

    def back(self, g: GraphBuilder, at: ir.Value, attention: ir.Value, gradient: ir.Value | None) -> ir.Value:
        mean = g.ReduceMean(attention, [1], keepdims=0)
        share = g.Div(at, g.Unsqueeze(g.Add(g.ReduceSum(mean, [2], keepdims=0), 1.0), [1]))
        return g.Add(share, g.MatMul(share, mean))
