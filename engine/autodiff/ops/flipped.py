"""The adjoint of a convolution as a plain convolution with flipped weights, the form that is fast on the CPU."""

from __future__ import annotations

import sys

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import static_shape
from .blocked import in_blocks
from .few_channels import in_cells
from .interleave import interleave
from .phases import each_phase
from .window import Window, remainder, spatial_shape
from .winograd import minimal_filtering, pays

__all__ = ["as_convolution"]


def as_convolution(
    g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int
) -> ir.Value | None:
    """A plain Conv with flipped weights, None where that form does not apply."""
    shape, rest = static_shape(w), remainder(x, dy, window)
    if shape is None:
        return None
    if g.lowering == "cpu" and pays(x, w, window, group):
        return minimal_filtering(g, x, w, dy, window)
    if all(s == 1 for s in window.strides):
        return in_cells(g, x, w, dy, window, group) or _unit_stride(g, w, dy, window, group)
    if rest is not None and all(k == 1 for k in window.kernel) and not any(window.pads):
        narrow = g.Conv(dy, _swap_channels(g, w, shape, group), group=group)
        return in_blocks(g, _spread(g, narrow, shape[1] * group, window, rest))
    if rest is not None and shape[:2] == (group, 1):
        if g.lowering == "portable":  # OpenVINO has a kernel for it, and onnxruntime takes about as long
            return None
        return _unit_stride(g, w, _spread(g, dy, group, window, rest), window, group)
    return _by_phases(g, x, w, dy, window, group)


def _unit_stride(g: GraphBuilder, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value | None:
    pads = [n - 1 - p for n, p in zip(window.span * 2, window.pads, strict=True)]
    if min(pads) < 0:
        return None
    flipped = _flip(g, w, [k for k in range(2, 2 + window.rank) if window.kernel[k - 2] > 1])
    return g.Conv(
        dy,
        _swap_channels(g, flipped, static_shape(w) or (), group),
        group=group,
        pads=pads,
        dilations=[*window.dilations],
    )


def _flip(g: GraphBuilder, w: ir.Value, axes: list[int]) -> ir.Value:
    n = len(axes)
    return g.Slice(w, [-1] * n, [-sys.maxsize] * n, axes, [-1] * n) if axes else w


def _swap_channels(g: GraphBuilder, w: ir.Value, shape: tuple[int, ...], group: int) -> ir.Value:
    """(M, C/G, ...) to (C, M/G, ...), group by group."""
    m, c, *kernel = shape
    if group == 1:
        return g.Transpose(w, perm=[1, 0, *range(2, g.rank(w))])
    if m == group and c == 1:
        return w
    grouped = g.reshape(w, [group, m // group, c, *kernel])
    swapped = g.Transpose(grouped, perm=[0, 2, 1, *range(3, 3 + len(kernel))])
    return g.reshape(swapped, [group * c, m // group, *kernel])


def _spread(g: GraphBuilder, value: ir.Value, channels: int, window: Window, rest: list[int]) -> ir.Value:
    """Elements a stride apart, zeros between: a depthwise ConvTranspose by 1, ten times as fast as Pad and Reshape."""
    ones = g.constant(np.ones((channels, 1, *[1] * window.rank)), value.dtype)
    return g.ConvTranspose(value, ones, group=channels, strides=[*window.strides], output_padding=rest)


def _by_phases(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value | None:
    """One Conv that computes every phase of x modulo the stride as channels, or one for each; they are interleaved.

    Element i = s q + r takes dY[q + u] W[k] for all k = r + begin - s u, so a phase r is a correlation of dY with
    every s-th weight, u from ceil((begin - K + 1) / s) to ceil(begin / s).
    """
    sizes, reached, s = spatial_shape(x), spatial_shape(dy), window.strides[0]
    plain = window.rank == 2 and window.strides == (s, s) and window.dilations == (1, 1)
    shape = static_shape(w)
    if not plain or sizes is None or reached is None or shape is None:
        return None
    last = [-(-b // s) for b in window.begin]
    first = [-((k - 1 - b) // s) for k, b in zip(window.kernel, window.begin, strict=True)]
    cells = [-(-n // s) for n in sizes]
    pads = [*(-u for u in first), *(q - o + u for q, o, u in zip(cells, reached, last, strict=True))]
    if min(pads) < 0:
        return None
    apart = each_phase(g, x, w, dy, window) if group == 1 and g.lowering == "cpu" else None
    if apart is not None:
        stacked = g.Concat(*(g.Unsqueeze(phase, [2]) for phase in apart), axis=2)
        phases = g.Reshape(stacked, [-1, shape[1] * s * s, *cells])
    else:
        phases = g.Conv(dy, _phase_weights(g, w, shape, window, group, first, last), group=group, pads=pads)
    return interleave(g, phases, shape[1] * group, s, [q * s - n for q, n in zip(cells, sizes, strict=True)])


def _phase_weights(
    g: GraphBuilder,
    w: ir.Value,
    shape: tuple[int, ...],
    window: Window,
    group: int,
    first: list[int],
    last: list[int],
) -> ir.Value:
    """(M, C/G, K, K) to (C s s, M/G, T, T)."""
    s, (m, c) = window.strides[0], shape[:2]
    taps = [v - u + 1 for u, v in zip(first, last, strict=True)]
    left = [s * v - b for v, b in zip(last, window.begin, strict=True)]
    right = [s * t - k - p for t, k, p in zip(taps, window.kernel, left, strict=True)]
    whole = g.Pad(w, [0, 0, *left, 0, 0, *right])
    split = g.reshape(whole, [group, m // group, c, taps[0], s, taps[1], s])
    turned = g.Transpose(_flip(g, split, [3, 5]), perm=[0, 2, 4, 6, 1, 3, 5])
    return g.reshape(turned, [group * c * s * s, m // group, *taps])
