"""Detectors that leave their grids to the caller: FastestDet, and PicoDet with its distributions of distances."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.model import Model
from .detector import SIDES, Boxes, Detector, cells, comes_from, corners, picture_size

__all__ = ["fastest_det", "pico_det"]

FASTEST_STRIDE = 16
PICO_STRIDES = (8, 16, 32, 64)


def fastest_det(model: Model, named: bool = False) -> Detector | None:
    """FastestDet (github.com/dog-qiuqiu/FastestDet): one map (N, 5 + classes, H/16, W/16) of objectness, the box as
    tanh and sigmoid want it, and the classes; objectness to the power 0.6 times class to the power 0.4."""
    y, grid = model.outputs[0], cells(picture_size(model), FASTEST_STRIDE)
    shape = None if y.shape is None else list(y.shape)
    if grid is None or len(model.outputs) != 1 or shape is None or len(shape) != 4 or _length(y, 1) <= SIDES + 1:
        return None
    fits = (_length(y, 3), _length(y, 2)) == tuple(grid[-1] + 1)
    return Detector(_read_fastest) if fits and (named or _three_parts(y.producer())) else None


def _three_parts(node: ir.Node | None) -> bool:
    """Whether a node joins objectness from a Sigmoid, four numbers of the box, and classes from a Softmax."""
    parts = list(node.inputs) if node is not None and node.op_type == "Concat" else []
    if len(parts) != 3 or parts[1] is None or parts[1].shape is None:
        return False
    return parts[1].shape[1] == SIDES and comes_from(parts[0], "Sigmoid") and comes_from(parts[2], "Softmax")


def pico_det(model: Model, named: bool = False) -> Detector | None:
    """PicoDet (Yu et al., 2021, arXiv:2111.00902): for each of four grids the classes (N, cells, classes), and the
    distances of the four sides from the cell's centre as distributions (N, cells, 4 x bins)."""
    return None if _levels(model) is None else Detector(_read_pico)


def _read_fastest(g: GraphBuilder, model: Model) -> Boxes:
    y, (height, width) = g.as_float32(model.outputs[0]), _known_size(model)
    numbers, (rows, columns) = _length(y, 1), (_length(y, 2), _length(y, 3))
    last = g.Reshape(g.Transpose(y, perm=[0, 2, 3, 1]), [0, rows * columns, numbers])
    objectness, offset, size, classes = g.Split(last, [1, 2, 2, numbers - 5], axis=2, outputs=4)
    grid = cells((height, width), FASTEST_STRIDE)
    scale = np.array([width / columns, height / rows], np.float32)
    centre = g.Mul(g.Add(g.Tanh(offset), g.constant(grid)), g.constant(scale))
    sides = g.Mul(g.Sigmoid(size), g.constant(np.array([width, height], np.float32)))
    scores = g.Mul(g.Pow(objectness, 0.6), g.Pow(classes, 0.4))
    return Boxes(corners(g, g.Concat(centre, sides, axis=2)), scores)


def _read_pico(g: GraphBuilder, model: Model) -> Boxes:
    size = _known_size(model)
    levels = [(g.as_float32(scores), g.as_float32(distances)) for scores, distances in _levels(model) or []]
    sides = [_pico_boxes(g, d, s, size) for (_, d), s in zip(levels, PICO_STRIDES, strict=True)]
    return Boxes(g.Concat(*sides, axis=1), g.Concat(*(scores for scores, _ in levels), axis=1))


def _pico_boxes(g: GraphBuilder, distances: ir.Value, stride: int, size: tuple[int, int]) -> ir.Value:
    """The corners of one grid's boxes: the mean of each distribution, in strides, from the centre of the cell."""
    bins = _length(distances, 2) // SIDES
    spread = g.Softmax(g.Reshape(distances, [0, -1, SIDES, bins]), axis=3)
    mean = g.ReduceSum(g.Mul(spread, g.constant(np.arange(bins, dtype=np.float32))), [3], keepdims=0)
    grid = cells(size, stride)
    centre = (np.zeros((0, 2), np.float32) if grid is None else grid + 0.5) * stride
    signs = g.constant(np.array([-1, -1, 1, 1], np.float32) * stride)
    return g.Add(g.constant(np.tile(centre, 2).astype(np.float32)), g.Mul(mean, signs))


def _known_size(model: Model) -> tuple[int, int]:
    """Height and width, which a model has that was recognised."""
    height, width = picture_size(model)
    return height or 0, width or 0


def _levels(model: Model) -> list[tuple[ir.Value, ir.Value]] | None:
    """Classes and distances of each grid, the finest first; None where the outputs are others."""
    grids = [cells(picture_size(model), stride) for stride in PICO_STRIDES]
    counts = [len(grid) for grid in grids if grid is not None]
    if not counts or len(model.outputs) != 2 * len(counts):
        return None
    if any(_cells_of(y) != n for y, n in zip(model.outputs, 2 * counts, strict=True)):
        return None
    return list(zip(model.outputs[: len(counts)], model.outputs[len(counts) :], strict=True))


def _length(y: ir.Value, axis: int) -> int:
    size = y.shape[axis] if y.shape is not None else 0
    return size if isinstance(size, int) else 0


def _cells_of(y: ir.Value) -> object:
    return y.shape[1] if y.shape is not None and len(y.shape) == 3 else None
