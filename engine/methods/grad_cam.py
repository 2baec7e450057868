"""Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..errors import ModelError
from ..gradient import Activation, connected
from ..model import Layer
from ..ops.window import spatial_shape
from ..paths import influenced, nodes_between
from .base import Method, Scene

__all__ = ["GradCam"]


@dataclass(frozen=True)
class GradCam(Method):
    """A layer's feature maps, summed by their mean gradients and rectified (Selvaraju et al., 2016, arXiv:1610.02391).

    ``layer`` is the last convolution by default; ``relu=False`` keeps the negative part. The map has the layer's size.
    """

    name: ClassVar[str] = "grad-cam"
    has_layer: ClassVar[bool] = True
    layer: str | None = None
    relu: bool = True

    def emit(self, scene: Scene) -> tuple[Sequence[ir.Value], tuple[Activation, ...]]:
        layer = scene.model.layer(self.layer) if self.layer else last_convolution(scene)
        maps = scene.twin(scene.model.value(layer.tensor))
        rank = scene.g.rank(maps)
        channels = layer.layout.index("C") if layer.layout and "C" in layer.layout else 1
        if rank < 3:
            raise ModelError(f"grad-cam needs a layer with feature maps; {layer.name!r} has shape {maps.shape}")
        found = scene.backward([maps])
        places = [axis for axis in range(1, rank) if axis != channels]
        g, gradient = scene.g, connected(found, maps, [scene.score], layer.name)
        cam = g.ReduceSum(g.Mul(g.ReduceMean(gradient, places, keepdims=1), maps), [channels], keepdims=0)
        return [g.Relu(cam) if self.relu else cam], found.activations


def last_convolution(scene: Scene) -> Layer:
    """The last Conv between input and score whose map has more than one element (heads are 1 x 1)."""
    between = nodes_between(scene.model.graph, [scene.smooth], influenced(scene.model.graph, scene.seen.values()))
    readers = [_as_floats(node) for node in between if node.op_type in ("Conv", "ConvInteger")]
    convolutions = [node for node in readers if spatial_shape(node.outputs[0]) != (1, 1)]
    if not convolutions:
        raise ModelError("grad-cam found no convolution between input and score; name a layer with layer=")
    return Layer(convolutions[-1].name or "", str(convolutions[-1].outputs[0].name))


def _as_floats(node: ir.Node) -> ir.Node:
    """A convolution, or the Cast behind one of integers."""
    casts = [use.node for use in node.outputs[0].uses() if use.node.op_type == "Cast"]
    return casts[0] if node.op_type == "ConvInteger" and casts else node
