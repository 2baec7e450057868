"""The adjoint of a convolution of unit stride in an image of few channels, as the first of a net is."""

from __future__ import annotations

import itertools
import sys

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import static_shape
from .blocked import blocked_channels
from .interleave import interleave
from .window import Window, spatial_shape

__all__ = ["in_cells"]

_CELL = 2
_MOST = 4  # channels, of which a cell has 16: a block of onnxruntime's layout, which they would not fill


def in_cells(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value | None:
    """dX by a Conv that computes cells of 2x2 elements as channels; None where it has no place.

    Element i = 2 q + r takes dY[i + begin - k] W[k] for all k: all of a cell take K + 1 elements of dY. On three
    channels and a kernel of 3x3 it takes half the time of one place after the other.
    """
    sizes, reached, shape = spatial_shape(x), spatial_shape(dy), static_shape(w)
    if sizes is None or reached is None or shape is None or window.rank != 2 or blocked_channels(g, dy) is None:
        return None
    if group != 1 or shape[1] > _MOST or window.dilations != (1, 1) or min(window.kernel) < _CELL:
        return None
    cells = [-(-n // _CELL) for n in sizes]
    before = [k - 1 - b for k, b in zip(window.kernel, window.begin, strict=True)]
    after = [_CELL * q + b - n for q, b, n in zip(cells, window.begin, reached, strict=True)]
    if min(*before, *after) < 0:
        return None
    found = g.Conv(dy, _kernels(g, w, shape), strides=[_CELL] * 2, pads=[*before, *after])
    surplus = [_CELL * q - n for q, n in zip(cells, sizes, strict=True)]
    return g.shaped_like(interleave(g, found, shape[1], _CELL, surplus), x)


def _kernels(g: GraphBuilder, w: ir.Value, shape: tuple[int, ...]) -> ir.Value:
    """(M, C, K, K) to (4 C, M, K + 1, K + 1): the flipped kernel at each place of a cell."""
    m, c, *kernel = shape
    turned = g.Transpose(g.Slice(w, [-1, -1], [-sys.maxsize] * 2, [2, 3], [-1, -1]), perm=[1, 0, 2, 3])
    places = itertools.product(range(_CELL), repeat=2)
    moved = [g.Pad(turned, g.vector([0, 0, i, j, 0, 0, 1 - i, 1 - j])) for i, j in places]
    stacked = g.Concat(*(g.Unsqueeze(one, [1]) for one in moved), axis=1)
    return g.Reshape(stacked, [_CELL * _CELL * c, m, *(k + 1 for k in kernel)])
