"""onnxruntime's blocked layout on the CPU, in which channels lie together in blocks: where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...graph.blocked_layout import filled_blocks
from ...graph.builder import GraphBuilder
from ..signs import STEEP, never_negative

__all__ = [
    "blocked_channels", "each_plane", "expanded_in_blocks", "finite", "in_blocks", "step", "within", "within_pays",
]  # fmt: skip

_STEEP = 2.0**126  # times any float32 that is not denormal it is at least 1
_TINY = 2.0**-56  # lost beside 1, and not denormal when squared: MLAS then takes 30 times as long
_HUGE = 2.0**126  # twice as much is still finite


def in_blocks(g: GraphBuilder, image: ir.Value) -> ir.Value:
    """An image as it is, on the CPU by a depthwise Conv by 1, which begins the blocked layout.

    What is then added to it or multiplied with it stays in that layout, and the sum with a Conv becomes a part of it.
    """
    channels = blocked_channels(g, image)
    return each_plane(g, image, [[1]]) if channels else image


def blocked_channels(g: GraphBuilder, image: ir.Value) -> int | None:
    """The channels of a float32 image that fill blocks, on the CPU; else None."""
    return filled_blocks(image) if g.lowering == "cpu" else None


def each_plane(
    g: GraphBuilder, x: ir.Value, kernel: Sequence[Sequence[float]], bias: float = 0.0, **how: Any
) -> ir.Value:
    """A Conv by one kernel over every channel by itself; keywords are attributes of Conv."""
    channels = int(list(x.shape or ())[1])  # pyright: ignore[reportArgumentType]
    w = g.constant(np.tile(np.array(kernel), (channels, 1, 1, 1)), x.dtype)
    b = g.constant(np.full(channels, bias), x.dtype) if bias else None
    return g.Conv(x, w, b, group=channels, **how)


def expanded_in_blocks(g: GraphBuilder, value: ir.Value, x: ir.Value) -> ir.Value:
    """A value for each channel, at every place of the image x."""
    wide = g.expand_like(value, x)
    return wide if wide is value else g.shaped_like(in_blocks(g, wide), x)


def step(g: GraphBuilder, difference: ir.Value) -> ir.Value:
    """1 where a difference is 0 or more, else 0."""
    return g.HardSigmoid(difference, alpha=_STEEP, beta=1.0)


def finite(g: GraphBuilder, image: ir.Value) -> ir.Value:
    """An image without -inf, as pads of a maximum are and a kernel's zeros would make NaN of; it costs a pass."""
    return image if never_negative(image) else g.Clip(image, -_HUGE, _HUGE)


def within_pays(g: GraphBuilder, y: ir.Value, high: float) -> bool:
    """Whether ``within`` has its place: on an image in the blocked layout, with a bound of a usual size."""
    return blocked_channels(g, y) is not None and 2**-10 <= high <= 64


def within(g: GraphBuilder, y: ir.Value, high: float) -> ir.Value:
    """1 where 0 < y < high, else 0, of an image whose elements are from 0 to high.

    A depthwise Conv with a LeakyRelu, which onnxruntime makes one node, is a valley as high at 0 as at the bound; one
    step finds what is lower. Its bottom is so close to 0 that it takes nothing from a y near the bound; a y below
    some 2**-80 of the bound counts as 0.
    """
    bottom = high * _TINY
    valley = g.LeakyRelu(each_plane(g, y, [[-1]], bias=bottom), alpha=-_TINY)
    return g.HardSigmoid(valley, alpha=-STEEP, beta=bottom * STEEP)
