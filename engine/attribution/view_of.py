"""What is drawn of an attribution: the values of one example as a View, over its picture or its input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..drawing.heatmap import as_bytes
from ..drawing.kinds import COLOURS, channels_first, kind_of
from ..drawing.series import TimeAxis
from ..drawing.views import View
from ..drawing.volume import grey_planes
from ..errors import InputError
from ..methods import METHODS, Method
from .reductions import CHANNEL_AXES, TOKENS, channel_axis, reduced

__all__ = ["view_of"]

Array = NDArray[Any]


def view_of(
    values: Array,
    data: Array | None,
    picture: Image.Image | None,
    *,
    layout: str | None,
    layer: bool,
    reduce: str | None,
    default: str,
    rate: float | None,
    named: bool,
    timed: bool,
    method: str,
) -> View | None:
    """The view of one example, whose ``values`` and ``data`` (the input, or None) are (1, ...); None if there is none.

    ``layer``: the values are a map of a layer's size. ``reduce``: how channels become one number, None for ``default``;
    a series and a vector keep their signs unless it is named. ``named``: the elements of a vector have names.
    ``timed``: whatever has a rate is a series. ``method``: its name. InputError for a rate that is none.
    """
    if rate is not None and not rate > 0:
        raise InputError(f"rate is {rate:g}; give samples a second, a number above 0")
    about = METHODS.get(method, Method)
    from_least = about.from_least
    of = None if not layer else (data.shape[1:] if data is not None else ())
    kind = kind_of(values.shape[1:], layout, of=of, timed=timed and rate is not None, named=named)
    if kind == "nothing":
        return None
    if kind == "series" and layout == TOKENS:
        heat = reduced(values, reduce or default, layout, layer)
        axis = TimeAxis(heat.shape[1], None, "tokens")
        return View(kind, heat, axis=axis, unit="tokens", plain="bwr", from_least=from_least)
    signed = kind in ("series", "vector") and reduce is None
    heat = (values.astype(np.float32) if signed else reduced(values, reduce or default, layout, layer))[0]
    if kind == "series":
        found = _series(heat, data, layout, layer, rate)
        axis = found.axis
        if axis is not None and axis.unit == "samples":
            axis = replace(axis, unit=about.series_unit)
        return replace(found, axis=axis, from_least=from_least)
    if kind == "volume":
        depth = channel_axis(data.shape, layout) - 1 if data is not None else 0
        planes = None if data is None else grey_planes(data[0], depth)
        return View(kind, heat, data=planes, plain="jet" if layer else "hot", from_least=from_least)
    if kind == "picture":
        smooth = values.ndim == 3
        under, plain = picture or _as_picture(data, layout), "jet" if smooth else "hot"
        return View(kind, heat, under, plain=plain, smooth=smooth, from_least=from_least)
    unit = "tokens" if kind == "tokens" else "places" if layer else "features"
    return View(kind, heat, data=data[0] if data is not None and data.size == heat.size else None, unit=unit)


def _series(heat: Array, data: Array | None, layout: str | None, layer: bool, rate: float | None) -> View:
    curves = None if data is None else _by_channel(data[0], layout)
    samples = curves.shape[1] if curves is not None else max(heat.shape)
    guessed = rate is None and (data.ndim if data is not None else heat.ndim + 1) == 2
    axis = TimeAxis(samples, rate, "elements" if guessed else "places" if layer and curves is None else "samples")
    shown = np.atleast_2d(heat) if layer else _by_channel(heat, layout)
    return View("series", shown, data=curves, axis=axis, plain="bwr")


def _by_channel(array: Array, layout: str | None) -> Array:
    """The array of a series as channels by time."""
    if array.ndim < 2:
        return np.atleast_2d(array)
    return array if channels_first(array.shape, layout) else array.T


def _as_picture(data: Array | None, layout: str | None) -> Image.Image | None:
    """A picture that was given as an array, from its least to its largest value; None where it is none of 1 or 3
    channels.
    """
    if data is None or data.ndim not in (3, 4):
        return None
    axes = (CHANNEL_AXES[layout],) if layout in ("NCHW", "NHWC") else (1, 3)
    axis = None if data.ndim == 3 else next((k for k in axes if data.shape[k] in COLOURS[:2]), 0)
    if axis == 0:
        return None
    bytes_ = as_bytes(data[0][..., None] if axis is None else np.moveaxis(data[0], axis - 1, -1))
    return Image.fromarray(bytes_[..., 0] if bytes_.shape[-1] == 1 else bytes_).convert("RGB")
