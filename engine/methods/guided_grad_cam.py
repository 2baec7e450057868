"""Guided Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted, Method
from .cam_merged import Layers, settled
from .explained import Explained
from .grad_cam import GradCam
from .option_help import LAYER, RELU
from .saliency import GuidedBackprop
from .zero_maps import BLOCKED, RECTIFIED

__all__ = ["GuidedGradCam", "enlarged", "picture_of"]


@dataclass(frozen=True)
class GuidedGradCam(Method):
    """Guided backprop times Grad-CAM, enlarged to the input (Selvaraju et al., 2016, arXiv:1610.02391).

    The map of Grad-CAM is enlarged bilinearly, as in the paper; pixels are squares, whose centres are compared.
    ``layer`` and ``relu`` as in grad-cam. The attribution has the input's shape.
    """

    name: ClassVar[str] = "guided-grad-cam"
    relu_policy: ClassVar[str] = "guided"
    has_layer: ClassVar[bool] = True
    layer: Layers = field(default=None, metadata=LAYER)
    relu: bool = field(default=True, metadata=RELU)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", settled(self.layer))

    def emit(self, context: EmitContext) -> Emitted:
        picture_of(self.name, context)
        of_layer = GradCam(self.layer, self.relu).emit(context)
        cam = next(iter(of_layer.totals.values()))
        name, about = picture_of(self.name, context, cam)
        gradients, activations = context.gradients(self.relu_policy)
        x = context.perturbed_inputs[name]
        wide = enlarged(context.g, cam, x, (about.channels or 0) + 1)
        return Emitted({name: context.g.Mul(gradients[name], wide)}, activations, layer=of_layer.layer)

    def relaxed(self) -> list[tuple[Method, str]]:
        rectified = [(replace(self, relu=False), RECTIFIED)] if self.relu else []
        hidden = "Grad-CAM's map is zero where the guided gradient is not; grad-cam and guided-backprop show each"
        return [*rectified, (GuidedBackprop(), hidden), *((one, BLOCKED) for one, _ in GuidedBackprop().relaxed())]


def picture_of(method: str, context: EmitContext, cam: ir.Value | None = None) -> tuple[str, Explained]:
    """The only explained input, which has an axis of channels, and as many places as a map of a layer."""
    (name, about), *others = context.explained.items()
    if others or about.batch != 0 or about.channels is None:
        raise InputError(f"{method} explains one input with batch and channels; the model has not one such input")
    if cam is not None and context.g.rank(cam) != context.g.rank(context.perturbed_inputs[name]) - 1:
        raise InputError(f"{method} needs a layer with as many places as {name!r} has axes; see grad-cam's map")
    return name, about


def enlarged(g: GraphBuilder, cam: ir.Value, x: ir.Value, channels: int) -> ir.Value:
    """A map (N, h, w) in the size of x, with an axis of one channel where x has its channels."""
    places = [axis for axis in range(1, g.rank(x)) if axis != channels]
    sizes = g.Concat(g.Shape(cam, end=1), [1], g.Gather(g.Shape(x), places), axis=0)
    wide = g.Resize(g.Unsqueeze(cam, [1]), None, None, sizes, mode="linear")
    return wide if channels == 1 else g.Transpose(wide, perm=[0, *range(2, g.rank(x)), 1])
