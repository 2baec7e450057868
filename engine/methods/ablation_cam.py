"""Ablation-CAM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .base import EmitContext
from .channel_runs import TINY, Channel, ChannelMethod
from .explained import Explained

__all__ = ["AblationCam"]


@dataclass(frozen=True)
class AblationCam(ChannelMethod):
    """A layer's feature maps, weighted by the fall of the score without each (Desai and Ramaswamy, 2020, WACV).

    Its doi is 10.1109/WACV45572.2020.9093360. The weight of a map is (y - y without it) / |y|; without it the map is
    zero at all places. What lies behind the layer
    runs once for each channel. ``layer``, one alone, and ``relu`` as in grad-cam.
    """

    name: ClassVar[str] = "ablation-cam"
    blank: ClassVar[str] = "without any one feature map of the layer the score stays the same; name another layer="

    def start(self, context: EmitContext, layer: ir.Value) -> ir.Value:
        return layer

    def emit_channel(self, context: EmitContext, channel: Channel) -> Mapping[str, ir.Value]:
        g = context.g
        each = channel.rows(channel.value)
        without = g.shaped_like(g.Mul(each, g.Sub(1, channel.chosen)), each)
        score = channel.rows.stream(channel.value, without)
        fall = g.Div(g.Sub(context.reference, score), g.Max(g.Abs(context.reference), TINY))
        weight = g.Reshape(fall, [-1, *[1] * (g.rank(channel.own) - 1)])
        return {next(iter(context.inputs)): g.Mul(weight, channel.own)}

    def finish(
        self, g: GraphBuilder, totals: Mapping[str, ir.Value], explained: Mapping[str, Explained]
    ) -> Mapping[str, ir.Value]:
        return {name: self.rectified(g, total) for name, total in super().finish(g, totals, explained).items()}
