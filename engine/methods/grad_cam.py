"""Grad-CAM, and the base of the other class activation maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import onnx_ir as ir

from ..autodiff.backward import Activation, connected
from ..graph.builder import GraphBuilder
from ..graph.model import Layer
from ..graph.node_names import SHADOW
from .base import EmitContext, Emitted, Method
from .cam_default import default_layer
from .cam_layers import channel_axis
from .cam_merged import Layers, merged, names_of, settled
from .cam_tokens import grid_of
from .option_help import LAYER, RELU
from .saliency import Saliency
from .zero_maps import ONE_PLACE, RECTIFIED

__all__ = ["ClassActivationMap", "FeatureMaps", "GradCam", "WeightedMaps", "folded"]


@dataclass(frozen=True)
class FeatureMaps:
    """The feature maps of a layer; ``channels`` is their axis, ``places`` are the axes of the map.

    ``gradient`` of the score, in the shape of ``maps``, is not there for a method that differentiates nothing.
    """

    maps: ir.Value
    channels: int
    places: list[int]
    derivative: ir.Value | None = None

    @property
    def gradient(self) -> ir.Value:
        if self.derivative is None:
            raise AttributeError("a method that differentiates nothing has no gradient of its layer")
        return self.derivative


@dataclass(frozen=True)
class ClassActivationMap(Method):
    """Base of the maps of a layer, which its feature maps make."""

    has_layer: ClassVar[bool] = True
    layer_sized: ClassVar[bool] = True
    uniform: ClassVar[str] = ONE_PLACE
    layer: Layers = field(default=None, metadata=LAYER)
    relu: bool = field(default=True, metadata=RELU)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", settled(self.layer))

    @abstractmethod
    def combined(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        """The map of a layer: its feature maps without the axis of the channels."""

    def emit(self, context: EmitContext) -> Emitted:
        g, layers = context.g, [self._layer(context, name) for name in names_of(self.layer)]
        every, activations = self._feature_maps(context, layers)
        cams = [self.combined(g, maps) for maps in every]
        total = merged(g, [g.Relu(cam) if self.relu else cam for cam in cams], not self.relu)
        names = ", ".join(layer.name.removeprefix(SHADOW) for layer in layers)
        return Emitted({next(iter(context.inputs)): total}, activations, layer=names)

    def _feature_maps(
        self, context: EmitContext, layers: Sequence[Layer]
    ) -> tuple[list[FeatureMaps], tuple[Activation, ...]]:
        maps = [context.shadow(context.model.value(layer.tensor)) for layer in layers]
        pairs = list(zip(maps, layers, strict=True))
        channels = [channel_axis(self.name, context.model, layer, x) for x, layer in pairs]
        if not self.differentiates:
            return [folded(context.g, x, axis) for x, axis in zip(maps, channels, strict=True)], ()
        found = context.backward(maps)
        gradients = [connected(found, x, [context.score], layer.name) for x, layer in pairs]
        every = [folded(context.g, *one) for one in zip(maps, channels, gradients, strict=True)]
        return every, found.activations

    def _layer(self, context: EmitContext, name: str | None) -> Layer:
        if name is not None:
            return context.model.layer(name)
        return default_layer(self.name, context.model, context.differentiable_score, context.perturbed_inputs.values())

    def relaxed(self) -> list[tuple[Method, str]]:
        named = self.layer if isinstance(self.layer, str) else ", ".join(self.layer or ["the default layer"])
        beside = f"the score does not depend on {named!r} here, though on the input; name another layer with layer="
        rectified = [(replace(self, relu=False), RECTIFIED)] if self.relu else []
        return [*rectified, (Saliency(), beside)]


def folded(g: GraphBuilder, maps: ir.Value, channels: int, gradient: ir.Value | None = None) -> FeatureMaps:
    """The feature maps of a layer, tokens folded to the grid of their patches."""
    rank = g.rank(maps)
    grid = next((one for one in grid_of(maps) if one.axis != channels), None)
    if grid is not None:
        maps, gradient = grid.fold(g, maps), None if gradient is None else grid.fold(g, gradient)
        rank, channels = 4, 3 if grid.axis == 1 else 1
    return FeatureMaps(maps, channels, [axis for axis in range(1, rank) if axis != channels], gradient)


@dataclass(frozen=True)
class WeightedMaps(ClassActivationMap):
    """Base of the maps that are sums of feature maps, weighted by what their gradients say."""

    @abstractmethod
    def weights(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        """The weight of each feature map, or of each of its elements."""

    def combined(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        return g.ReduceSum(g.Mul(self.weights(g, layer), layer.maps), [layer.channels], keepdims=0)


@dataclass(frozen=True)
class GradCam(WeightedMaps):
    """A layer's feature maps, summed by their mean gradients and rectified (Selvaraju et al., 2016, arXiv:1610.02391).

    ``layer`` is by default the last feature maps before pooling that all scores depend on, behind their activation, or
    of transformers the tokens that the last attention reads, folded to the grid of their patches, without those of
    class and registers. A layer of which nothing tells the channels is an error. ``relu=False`` keeps the negative
    part. The map has the layer's size; of several layers it is the mean of their maps, each scaled to 0 to 1, in the
    size of the finest.
    """

    name: ClassVar[str] = "grad-cam"

    def weights(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        return g.ReduceMean(layer.gradient, layer.places, keepdims=1)
