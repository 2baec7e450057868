"""Score-CAM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .base import EmitContext
from .channel_runs import TINY, Channel, ChannelMethod
from .explained import Explained
from .guided_grad_cam import enlarged, picture_of

__all__ = ["ScoreCam"]

WEIGHTS = "weights"


@dataclass(frozen=True)
class ScoreCam(ChannelMethod):
    """A layer's feature maps, weighted by the score of the input seen through each (Wang, 2020, arXiv:1910.01279).

    A feature map, enlarged bilinearly to the input and scaled to 0 to 1, multiplies the input; the weights are the
    softmax of these scores over the channels. The model runs once for each channel. ``layer``, one
    alone, and ``relu`` as in grad-cam.
    """

    name: ClassVar[str] = "score-cam"
    blank: ClassVar[str] = "the feature maps of the layer are zero everywhere; name another layer with layer="

    def start(self, context: EmitContext, layer: ir.Value) -> ir.Value:
        name, about = picture_of(self.name, context)
        return context.model.value(about.tensor or name)

    def emit_channel(self, context: EmitContext, channel: Channel) -> Mapping[str, ir.Value]:
        g, (name, about) = context.g, picture_of(self.name, context, channel.own)
        seen = self.start(context, channel.value)
        x = channel.rows(seen)
        wide = enlarged(g, channel.own, x, (about.channels or 0) + 1)
        places = list(range(1, g.rank(wide)))
        least, most = g.ReduceMin(wide, places, keepdims=1), g.ReduceMax(wide, places, keepdims=1)
        mask = g.Div(g.Sub(wide, least), g.Max(g.Sub(most, least), TINY))
        masked = g.shaped_like(g.Mul(x, g.CastLike(mask, x)), x)
        score = channel.rows.stream(seen, masked)
        drawn = g.ReduceMax(channel.chosen, list(range(1, g.rank(channel.chosen))), keepdims=0)  # 0 at point 0
        weight = g.Mul(g.as_float32(drawn), g.Exp(g.Sub(score, context.reference)))
        weight = g.Reshape(weight, [-1, *[1] * (g.rank(channel.own) - 1)])
        return {name: g.Mul(weight, channel.own), f"{name}/{WEIGHTS}": weight}

    def finish(
        self, g: GraphBuilder, totals: Mapping[str, ir.Value], explained: Mapping[str, Explained]
    ) -> Mapping[str, ir.Value]:
        name = next(iter(explained))
        return {name: self.rectified(g, g.Div(totals[name], totals[f"{name}/{WEIGHTS}"]))}
