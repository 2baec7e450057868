"""Grad-CAM."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import onnx_ir as ir

from ..autodiff.backward import connected
from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted, Method
from .cam_layers import channel_axis, default_layer
from .saliency import Saliency

__all__ = ["ClassActivationMap", "GradCam"]


@dataclass(frozen=True)
class ClassActivationMap(Method):
    """Base of the maps of a layer: feature maps weighted by what their gradients say, summed over channels."""

    has_layer: ClassVar[bool] = True
    layer: str | None = None
    relu: bool = True

    @abstractmethod
    def weights(self, g: GraphBuilder, gradient: ir.Value, places: list[int]) -> ir.Value:
        """The weight of each feature map, or of each of its elements; ``places`` are the axes of the map."""

    def emit(self, context: EmitContext) -> Emitted:
        model, g = context.model, context.g
        layer = (
            model.layer(self.layer)
            if self.layer
            else default_layer(self.name, model, context.differentiable_score, context.perturbed_inputs.values())
        )
        maps = context.shadow(model.value(layer.tensor))
        rank, channels = g.rank(maps), channel_axis(self.name, model, layer, maps)
        found = context.backward([maps])
        places = [axis for axis in range(1, rank) if axis != channels]
        gradient = connected(found, maps, [context.score], layer.name)
        cam = g.ReduceSum(g.Mul(self.weights(g, gradient, places), maps), [channels], keepdims=0)
        return Emitted({next(iter(context.inputs)): g.Relu(cam) if self.relu else cam}, found.activations)

    def relaxed(self) -> list[tuple[Method, str]]:
        negative = "no place speaks for the score, the ReLU removed all; relu=False (--no-relu) shows what is against"
        beside = (
            f"the score does not depend on {self.layer or 'the last convolution'!r} here, though on the input; name "
            "another layer with layer= (--layer)"
        )
        rectified = [(replace(self, relu=False), negative)] if self.relu else []
        return [*rectified, (Saliency(), beside)]


@dataclass(frozen=True)
class GradCam(ClassActivationMap):
    """A layer's feature maps, summed by their mean gradients and rectified (Selvaraju et al., 2016, arXiv:1610.02391).

    ``layer`` is the last convolution by default, which a transformer has not: that is an error, as is a layer of which
    nothing tells the channels. ``relu=False`` keeps the negative part. The map has the layer's size.
    """

    name: ClassVar[str] = "grad-cam"

    def weights(self, g: GraphBuilder, gradient: ir.Value, places: list[int]) -> ir.Value:
        return g.ReduceMean(gradient, places, keepdims=1)
