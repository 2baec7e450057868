"""Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import onnx_ir as ir

from ..autodiff.backward import Activation, connected
from .base import EmitContext, Method
from .cam_layers import channel_axis, default_layer
from .saliency import Saliency

__all__ = ["GradCam"]


@dataclass(frozen=True)
class GradCam(Method):
    """A layer's feature maps, summed by their mean gradients and rectified (Selvaraju et al., 2016, arXiv:1610.02391).

    ``layer`` is the last convolution by default, which a transformer has not: that is an error, as is a layer of which
    nothing tells the channels. ``relu=False`` keeps the negative part. The map has the layer's size.
    """

    name: ClassVar[str] = "grad-cam"
    has_layer: ClassVar[bool] = True
    layer: str | None = None
    relu: bool = True

    def relaxed(self) -> list[tuple[Method, str]]:
        negative = "no place speaks for the score, the ReLU removed all; relu=False (--no-relu) shows what is against"
        beside = (
            f"the score does not depend on {self.layer or 'the last convolution'!r} here, though on the input; name "
            "another layer with layer= (--layer)"
        )
        rectified = [(replace(self, relu=False), negative)] if self.relu else []
        return [*rectified, (Saliency(), beside)]

    def emit(self, context: EmitContext) -> tuple[Sequence[ir.Value], tuple[Activation, ...]]:
        model = context.model
        layer = (
            model.layer(self.layer)
            if self.layer
            else default_layer(model, context.differentiable_score, context.perturbed_inputs.values())
        )
        maps = context.shadow(model.value(layer.tensor))
        rank, channels = context.g.rank(maps), channel_axis(model, layer, maps)
        found = context.backward([maps])
        places = [axis for axis in range(1, rank) if axis != channels]
        g, gradient = context.g, connected(found, maps, [context.score], layer.name)
        cam = g.ReduceSum(g.Mul(g.ReduceMean(gradient, places, keepdims=1), maps), [channels], keepdims=0)
        return [g.Relu(cam) if self.relu else cam], found.activations
