"""The sliding window of convolutions and pools: sizes and pads, resolved from attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ..registry import Node

__all__ = ["Window", "remainder", "spatial_shape", "window_of"]


@dataclass(frozen=True)
class Window:
    """Kernel, strides, dilations and explicit pads, one entry per spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def span(self) -> tuple[int, ...]:
        """How many elements a dilated kernel covers."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def pads(self) -> list[int]:
        return [*self.begin, *self.end]

    @property
    def overlaps(self) -> bool:
        return any(s < n for s, n in zip(self.strides, self.span, strict=True))

    def attributes(self) -> dict[str, list[int]]:
        """As the attributes of a Conv or ConvTranspose."""
        return {"strides": [*self.strides], "dilations": [*self.dilations], "pads": self.pads}


def window_of(node: Node, x: ir.Value, kernel: Sequence[int]) -> Window:
    """The window of a Conv or pool node over x."""
    ones, zeros = [1] * len(kernel), [0] * (2 * len(kernel))
    strides = node.attributes.get_ints("strides", ones)
    dilations = node.attributes.get_ints("dilations", ones)
    pads = node.attributes.get_ints("pads", zeros)
    half = len(kernel)
    window = Window(*map(tuple, (kernel, strides, dilations, pads[:half], pads[half:])))
    auto_pad = node.attributes.get_string("auto_pad", "NOTSET")
    if not auto_pad.startswith("SAME"):
        return window
    if "Pool" in node.op_type and max(window.dilations) > 1:
        raise ValueError("onnxruntime pads a dilated pool with auto_pad otherwise than the standard says")
    return _same(window, x, auto_pad == "SAME_UPPER")


def _same(window: Window, x: ir.Value, upper: bool) -> Window:
    """Pads for an output of ceil(size / stride); the odd one goes to the end in SAME_UPPER, else to the beginning."""
    totals = [
        _same_total(size, s, n) for size, s, n in zip(list(x.shape or ())[2:], window.strides, window.span, strict=True)
    ]
    less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return replace(window, begin=less if upper else more, end=more if upper else less)


def _same_total(size: int | ir.SymbolicDim, stride: int, span: int) -> int:
    if isinstance(size, int):
        return max((-(-size // stride) - 1) * stride + span - size, 0)
    if stride == 1:
        return span - 1
    raise ValueError("auto_pad with a stride needs a spatial size that is known before the model runs")


def spatial_shape(x: ir.Value) -> tuple[int, ...] | None:
    """The sizes behind batch and channel, None where one is unknown."""
    sizes = list(x.shape)[2:] if x.shape is not None else [None]
    known = tuple(size for size in sizes if isinstance(size, int))
    return known if len(known) == len(sizes) else None


def remainder(x: ir.Value, dy: ir.Value, window: Window) -> list[int] | None:
    """How many elements at the end of x no window starts at; None where that is open or more than a stride."""
    sizes, reached = spatial_shape(x), spatial_shape(dy)
    if sizes is None or reached is None:
        return None
    spans = zip(sizes, reached, window.strides, window.span, window.begin, window.end, strict=True)
    rest = [n - (s * (o - 1) + span - b - e) for n, o, s, span, b, e in spans]
    return rest if all(0 <= r < s for r, s in zip(rest, window.strides, strict=True)) else None
