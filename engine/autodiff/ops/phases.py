"""The adjoint of a convolution with strides: each phase of x, elements a stride apart, is a plain Conv by itself."""

from __future__ import annotations

import itertools
import sys

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import static_shape
from .window import Window, spatial_shape

__all__ = ["each_phase"]

_FEW_CHANNELS = 16  # of a kernel: fewer do not fill a block of onnxruntime's layout, which several phases do together


def each_phase(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window) -> list[ir.Value] | None:
    """The phases of dX in their order, (N, C, rows, columns) each, from a constant kernel; None where it has no place.

    Element i = s q + r takes dY[q + u] W[k] for all k = r + begin - s u: of a 3x3 kernel the phases take 1, 2, 2 and
    4 taps, together as many as it has.
    """
    sizes, reached, shape, s = spatial_shape(x), spatial_shape(dy), static_shape(w), window.strides[0]
    plain = window.rank == 2 and window.strides == (s, s) and window.dilations == (1, 1) and min(window.kernel) >= s
    if not plain or sizes is None or reached is None or shape is None or shape[1] < _FEW_CHANNELS:
        return None
    if all(k % s == 0 for k in window.kernel):  # then all phases have as many taps, and one Conv for all has no more
        return None
    along = [
        [_along(r, s, *axis) for r in range(s)]
        for axis in zip(window.kernel, window.begin, sizes, reached, strict=True)
    ]
    if any(min(pads) < 0 for axis in along for _, _, pads in axis):
        return None
    return [_phase(g, w, dy, s, phase) for phase in itertools.product(*along)]


def _along(r: int, s: int, kernel: int, begin: int, size: int, reached: int) -> tuple[int, int, tuple[int, int]]:
    """The last and the first weight that elements r, r + s, ... take along an axis, and the pads of dY."""
    low, high = -((kernel - 1 - r - begin) // s), (r + begin) // s
    return r + begin - s * low, r + begin - s * high, (-low, -(-size // s) + high - reached)


def _phase(
    g: GraphBuilder, w: ir.Value, dy: ir.Value, s: int, along: tuple[tuple[int, int, tuple[int, int]], ...]
) -> ir.Value:
    starts, ends = [last for last, _, _ in along], [first - 1 if first else -sys.maxsize for _, first, _ in along]
    taps = g.Slice(w, starts, ends, [2, 3], [-s, -s])
    (top, bottom), (left, right) = (pads for _, _, pads in along)
    return g.Conv(dy, g.Transpose(taps, perm=[1, 0, 2, 3]), pads=[top, left, bottom, right])
