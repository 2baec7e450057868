"""The layer that Grad-CAM explains on both sides, as the last convolution depends on the order of the nodes."""

from __future__ import annotations

from ..cam_layers import default_layer as find
from ..errors import ModelError
from ..explanation import explained_inputs
from ..model import Model
from ..ops.window import spatial_shape
from ..target import score_tensor
from .match import match_layers
from .randomise import layer_nodes

__all__ = ["default_layer", "same_layer"]


def default_layer(model: Model) -> str | None:
    """The tensor that Grad-CAM takes where no layer is named; None where it takes none."""
    inputs = [value for value in model.inputs if str(value.name) in explained_inputs(model)]
    try:
        return find(model, score_tensor(model, "output"), inputs).tensor
    except ModelError:
        return None


def same_layer(model: Model, tensor: str | None, reference: Model | None = None) -> str | None:
    """What a reference's layer is called in another model: the layer that matches it, or, without the reference, that
    of its name. None where the model's own last convolution has a map of another size, so is another layer."""
    own = default_layer(model)
    if tensor is None or own is None:
        return None
    if reference is None:
        known = {str(node.outputs[0].name) for node in layer_nodes(model)}
        found = tensor if tensor in known else None
    else:
        found = next((one.candidate for one in match_layers(reference, model) if one.reference == tensor), None)
    sizes = [spatial_shape(model.value(name)) for name in (own, found) if name is not None]
    return found if len(sizes) == 2 and sizes[0] == sizes[1] else None
