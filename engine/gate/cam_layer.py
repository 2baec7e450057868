"""The layer that Grad-CAM explains on both sides, as the last convolution depends on the order of the nodes."""

from __future__ import annotations

from ..model import Model
from ..ops.window import spatial_shape
from .match import match_layers
from .randomise import layer_nodes

__all__ = ["default_layer", "same_layer"]

HEAD = (1, 1)  # what convolutions that stand for fully connected layers give


def default_layer(model: Model) -> str | None:
    """The tensor of the last convolution with a map, which Grad-CAM takes where no layer is named."""
    nodes = [node for node in layer_nodes(model) if node.op_type == "Conv"]
    return next((str(n.outputs[0].name) for n in reversed(nodes) if spatial_shape(n.outputs[0]) != HEAD), None)


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
