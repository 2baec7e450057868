"""The adjoint of a 3x3 convolution by minimal filtering, with a quarter of the multiplications of the plain form.

Every 4x4 tile of dX is A' [(G W G') * (B' dY B)] A with W the flipped kernel; over all channels the products are one
matrix product for each of the 36 places of a tile: F(4x4, 3x3) of A. Lavin and S. Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016, by the matrices of Cook and Toom. The points decide the rounding error
(B. Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks",
2018): with these it is four times that of the plain form, with the usual 0, 1, -1, 2, -2 nine times.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import static_shape
from ...graph.traversal import depends_on_inputs
from .window import Window, spatial_shape

__all__ = ["minimal_filtering", "pays"]

_POINTS = np.array([0, 3 / 2, -3 / 2, 2 / 3, -2 / 3])  # and infinity
_TILE, _PLACES = 4, 36
# Below these the transforms cost what the multiplications save, as two threads share them and a run has one row: of the
# layers of ResNet-50 each takes at least as long, 256 channels of 14 by 14 elements 1.4 times.
_FEW_CHANNELS, _FEW_COLUMNS = 112, 10_000


def pays(x: ir.Value, w: ir.Value, window: Window, group: int) -> bool:
    """Whether this is a constant 3x3 kernel of unit stride, on enough channels and tiles."""
    sizes, shape = spatial_shape(x), static_shape(w)
    plain = window.kernel == (3, 3) and window.strides == window.dilations == (1, 1) and group == 1
    if not plain or sizes is None or shape is None:
        return False
    channels = statistics.harmonic_mean(shape[:2])
    large = channels >= _FEW_CHANNELS and channels * math.prod(_tiles(sizes)) >= _FEW_COLUMNS
    return large and not depends_on_inputs(w)


def minimal_filtering(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window) -> ir.Value:
    """dX from dY (N, M, ...) and the weights (M, C, 3, 3), for what ``pays``.

    onnxruntime shares Gather and products of matrices among its threads, but neither Transpose nor ConvTranspose.
    """
    sizes, (m, c) = spatial_shape(x) or (0, 0), (static_shape(w) or (0, 0))[:2]
    tiles, (outputs, weights, inputs) = _tiles(sizes), _matrices()
    surplus = [_TILE * t - n for t, n in zip(tiles, sizes, strict=True)]
    pads = [*(2 - b for b in window.begin), *(2 - e + s for e, s in zip(window.end, surplus, strict=True))]
    planes = g.Reshape(dy, [-1, 1, *(spatial_shape(dy) or ())])
    cut = g.Conv(planes, g.constant(_both_ways(inputs), dy.dtype), strides=[_TILE] * 2, pads=pads)
    product = g.MatMul(_kernels(g, w, weights), _places_first(g, cut, m, math.prod(tiles)))
    below = g.Reshape(product, [-1, _PLACES, c * tiles[0], tiles[1]])  # the planes of the channels, one below the other
    back = g.constant(_both_ways(outputs), dy.dtype)
    dx = g.Reshape(
        g.ConvTranspose(below, back, strides=[_TILE] * 2, pads=[0, 0, 0, surplus[1]]),
        [-1, c, _TILE * tiles[0], sizes[1]],
    )
    return g.shaped_like(g.Slice(dx, [0], [sizes[0]], [2]) if surplus[0] else dx, x)


def _kernels(g: GraphBuilder, w: ir.Value, weights: np.ndarray) -> ir.Value:
    """The flipped kernels at the 36 places, (36, C, M): constants, which onnxruntime folds once.

    The weights are turned before the product, which is four times as large.
    """
    m, c = (static_shape(w) or (0, 0))[:2]
    flipped = g.constant(_both_ways(weights[:, ::-1]).reshape(_PLACES, 9), w.dtype)
    taps = g.Reshape(g.Transpose(g.Reshape(w, [m, c, 9]), perm=[2, 1, 0]), [9, c * m])
    return g.Reshape(g.MatMul(flipped, taps), [_PLACES, c, m])


def _places_first(g: GraphBuilder, cut: ir.Value, m: int, area: int) -> ir.Value:
    """(N M, 36, rows, columns) to (N, 36, M, area)."""
    turned = np.arange(m * _PLACES).reshape(m, _PLACES).T.ravel()
    rows = g.Gather(g.Reshape(cut, [-1, m * _PLACES, area]), g.constant(turned, ir.DataType.INT64), axis=1)
    return g.Reshape(rows, [-1, _PLACES, m, area])


def _tiles(sizes: tuple[int, ...]) -> list[int]:
    return [-(-n // _TILE) for n in sizes]


def _both_ways(matrix: np.ndarray) -> np.ndarray:
    """One plane for each pair of rows, (rows^2, 1, columns, columns): a transform along both axes as a kernel."""
    rows, columns = matrix.shape
    return np.kron(matrix, matrix).reshape(rows, rows, columns, columns).reshape(rows * rows, 1, columns, columns)


def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (6, 4), G (6, 3) and B' (6, 6); the last row is the point at infinity."""
    others = [np.delete(_POINTS, k) for k in range(len(_POINTS))]
    scale = np.array([[np.prod(p - rest)] for p, rest in zip(_POINTS, others, strict=True)])
    outputs = np.vstack([np.vander(_POINTS, _TILE, increasing=True), np.eye(_TILE)[-1]])
    weights = np.vstack([np.vander(_POINTS, 3, increasing=True) / scale, np.eye(3)[-1]])
    inputs = np.vstack([[*np.poly(rest)[::-1], 0] for rest in others] + [np.poly(_POINTS)[::-1]])
    return outputs, weights, inputs
