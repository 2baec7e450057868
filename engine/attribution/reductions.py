"""From the channels of an attribution to one number for each place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..drawing.kinds import COLOURS
from ..errors import InputError
from ..methods import METHODS, Method
from ..support.choice import choose

__all__ = ["CHANNEL_AXES", "REDUCTIONS", "TOKENS", "channel_axis", "is_of_layer", "length", "reduced", "reduction_in"]

Array = NDArray[Any]


def length(values: Array, axis: int | None = None) -> Array:
    """The Euclidean norm, by default of all values; in float64, as float32 does not hold squares below 1e-45."""
    return np.linalg.norm(np.asarray(values, np.float64), axis=axis)


REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs-max": np.max,
    "abs-sum": np.sum,
    "norm": length,
    "max": np.max,
    "sum": np.sum,
    "mean": np.mean,
}
UNSIGNED = ("abs-max", "abs-sum", "norm")
CHANNEL_AXES = {"NCHW": 1, "NHWC": 3, "NCDHW": 1, "NDHWC": 4}
TOKENS = "NLC"  # embeddings: a vector for each place of a sequence


def reduced(values: Array, reduce: str, layout: str | None, layer: bool) -> NDArray[np.float32]:
    """Values (N, ...) without their channel axis; ``layer``: they are a map of a layer's size, which has none.

    Raises InputError for an unknown reduction, or for values whose channel axis cannot be told.
    """
    choose(reduce, REDUCTIONS, "reduction")
    values = np.abs(values) if reduce in UNSIGNED else values
    if layout == TOKENS and values.ndim > 1:
        values = REDUCTIONS[reduce](values, axis=-1)
    elif values.ndim in (4, 5) and not (layer and values.ndim == 4):
        values = REDUCTIONS[reduce](values, axis=channel_axis(values.shape, layout))
    elif values.ndim not in (2, 3, 4):
        raise InputError(f"values of shape {values.shape} have no map; reduce .values to (N, H, W) yourself")
    return values.astype(np.float32)


def channel_axis(shape: Sequence[int], layout: str | None) -> int:
    """The axis of channels of pictures (N, ...) of four axes or of volumes of five."""
    if layout in CHANNEL_AXES and len(layout) == len(shape):
        return CHANNEL_AXES[layout]
    for axis in (1, len(shape) - 1):
        if shape[axis] in COLOURS:
            return axis
    if len(shape) == 5:
        return 1
    raise InputError(f"values of shape {tuple(shape)} show no channel axis of 1, 3 or 4; set layout to NCHW or NHWC")


def reduction_in(reduction: str, method: str, of_tokens: bool, layout: str | None) -> str:
    """How channels become one number for one of several inputs: of embeddings beside others as suits the method."""
    alone = layout is not None or reduction != "abs-max"  # is said, or found for embeddings without others
    return METHODS.get(method, Method).reduction if of_tokens and not alone else reduction


def is_of_layer(provenance: Mapping[str, Any]) -> bool:
    """Whether values are a map of a layer; guided-grad-cam looks at one, but has the size of the input."""
    return "layer" in provenance and "input_sized" not in provenance
