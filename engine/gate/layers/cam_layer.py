"""The layer that Grad-CAM explains on both sides, as the default layer depends on the order of the nodes."""

from __future__ import annotations

from collections.abc import Sequence

from ...attribution.axes import explained_inputs, with_settled_sizes
from ...attribution.score import score_tensor
from ...autodiff.ops.window import spatial_shape
from ...errors import ModelError
from ...graph.model import Model
from ...methods import METHODS
from ...methods.cam_default import default_layer as find
from ...support.caller import warn_caller
from ..model_under_test import DEFAULT_METHODS
from .dequantise import quantised_forms
from .match import match_layers
from .randomise import layer_nodes

__all__ = ["default_layer", "same_layer", "usable_methods"]


def default_layer(model: Model) -> str | None:
    """The tensor that Grad-CAM takes where no layer is named; None where it takes none."""
    sized = with_settled_sizes(model)
    inputs = [value for value in sized.inputs if str(value.name) in explained_inputs(model)]
    try:
        return find("grad-cam", sized, score_tensor(sized, "output"), inputs).tensor
    except ModelError:
        return None


def usable_methods(model: Model, methods: Sequence[str], layer: str | None) -> tuple[str, ...]:
    """The methods; of the default ones, those that need a layer only where the model has one, as a warning tells."""
    if tuple(methods) != DEFAULT_METHODS or layer is not None or default_layer(model) is not None:
        return tuple(methods)
    left_out = [name for name in methods if METHODS[name].has_layer]
    warn_caller(
        f"{', '.join(left_out)} is left out: the model has no convolution whose maps it could take; name a layer to "
        "have it"
    )
    return tuple(name for name in methods if name not in left_out)


def same_layer(model: Model, tensor: str | None, reference: Model | None = None) -> str | None:
    """The name of a reference's layer in another model: of the layer that matches it, or, without the reference, of the
    one of its name. Of a quantised layer it is what the next one reads, as a quantisation clips what a merged Relu did.
    None where the model's own default layer has a map of another size, so is another layer."""
    own = default_layer(model)
    if tensor is None or own is None:
        return None
    if reference is None:
        known = {str(node.outputs[0].name) for node in layer_nodes(model)}
        found = tensor if tensor in known else None
    else:
        found = next((one.candidate for one in match_layers(reference, model) if one.reference == tensor), None)
    found = quantised_forms(model).get(found, found) if found is not None else None
    sizes = [spatial_shape(model.value(name)) for name in (own, found) if name is not None]
    return found if len(sizes) == 2 and sizes[0] == sizes[1] else None
