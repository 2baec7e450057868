"""Detectors that leave their grids to the caller: FastestDet, and PicoDet with its distributions of distances."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.model import Model
from .detector import SIDES, Boxes, Detector, comes_from, corners, float32, picture_input

__all__ = ["fastest_det", "pico_det"]

FASTEST_STRIDE = 16
PICO_STRIDES = (8, 16, 32, 64)


def fastest_det(model: Model, named: bool = False) -> Detector | None:
    """FastestDet (github.com/dog-qiuqiu/FastestDet): one map (N, 5 + classes, H/16, W/16) of objectness, the box as
    tanh and sigmoid want it, and the classes; objectness to the power 0.6 times class to the power 0.4."""
    y, size = model.outputs[0], _picture(model)
    shape = None if y.shape is None else list(y.shape)
    if size is None or len(model.outputs) != 1 or shape is None or len(shape) != 4 or not isinstance(shape[1], int):
        return None
    grid = [side // FASTEST_STRIDE for side in size]
    joined = named or _three_parts(y.producer())
    return Detector("FastestDet", _read_fastest) if shape[2:] == grid and shape[1] > 5 and joined else None


def _three_parts(node: ir.Node | None) -> bool:
    """Whether a node joins objectness from a Sigmoid, four numbers of the box, and classes from a Softmax."""
    parts = list(node.inputs) if node is not None and node.op_type == "Concat" else []
    if len(parts) != 3 or parts[1] is None or parts[1].shape is None:
        return False
    return parts[1].shape[1] == SIDES and comes_from(parts[0], "Sigmoid") and comes_from(parts[2], "Softmax")


def pico_det(model: Model, named: bool = False) -> Detector | None:
    """PicoDet (Yu et al., 2021, arXiv:2111.00902): for each of four grids the classes (N, cells, classes), and the
    distances of the four sides from the cell's centre as distributions (N, cells, 4 x bins)."""
    return None if _levels(model) is None else Detector("PicoDet", _read_pico)


def _read_fastest(g: GraphBuilder, model: Model) -> Boxes:
    y, (height, width) = float32(g, model.outputs[0]), _picture(model) or (0, 0)
    rows, columns = height // FASTEST_STRIDE, width // FASTEST_STRIDE
    last = g.Reshape(g.Transpose(y, perm=[0, 2, 3, 1]), g.constant([0, rows * columns, _length(y, 1)]))
    parts = g.constant([1, 2, 2, _length(y, 1) - 5], ir.DataType.INT64)
    objectness, offset, size, classes = g.Split(last, parts, axis=2, outputs=4)
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(np.float32)
    scale = g.constant(np.array([width / columns, height / rows], np.float32))
    centre = g.Mul(g.Add(g.Tanh(offset), g.constant(cells)), scale)
    sides = g.Mul(g.Sigmoid(size), g.constant(np.array([width, height], np.float32)))
    power = [g.constant(p, ir.DataType.FLOAT) for p in (0.6, 0.4)]
    scores = g.Mul(g.Pow(objectness, power[0]), g.Pow(classes, power[1]))
    return Boxes(corners(g, g.Concat(centre, sides, axis=2)), scores)


def _read_pico(g: GraphBuilder, model: Model) -> Boxes:
    size = _picture(model) or (0, 0)
    levels = [(float32(g, scores), float32(g, distances)) for scores, distances in _levels(model) or []]
    sides = [_pico_boxes(g, d, s, size) for (_, d), s in zip(levels, PICO_STRIDES, strict=True)]
    return Boxes(g.Concat(*sides, axis=1), g.Concat(*(scores for scores, _ in levels), axis=1))


def _pico_boxes(g: GraphBuilder, distances: ir.Value, stride: int, size: tuple[int, int]) -> ir.Value:
    """The corners of one grid's boxes: the mean of each distribution, in strides, from the centre of the cell."""
    rows, columns = (math.ceil(side / stride) for side in size)
    bins = _length(distances, 2) // SIDES
    spread = g.Softmax(g.Reshape(distances, g.constant([0, -1, SIDES, bins], ir.DataType.INT64)), axis=3)
    mean = g.ReduceSum(g.Mul(spread, g.constant(np.arange(bins, dtype=np.float32))), [3], keepdims=0)
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) + 0.5
    signs = g.constant(np.array([-1, -1, 1, 1], np.float32) * stride)
    return g.Add(g.constant(np.tile(cells * stride, 2).astype(np.float32)), g.Mul(mean, signs))


def _levels(model: Model) -> list[tuple[ir.Value, ir.Value]] | None:
    """Classes and distances of each grid, the finest first; None where the outputs are others."""
    size = _picture(model)
    if size is None or len(model.outputs) != 2 * len(PICO_STRIDES):
        return None
    cells = [math.prod(math.ceil(side / s) for side in size) for s in PICO_STRIDES]
    if any(_cells_of(y) != n for y, n in zip(model.outputs, 2 * cells, strict=True)):
        return None
    return list(zip(model.outputs[: len(cells)], model.outputs[len(cells) :], strict=True))


def _length(y: ir.Value, axis: int) -> int:
    size = y.shape[axis] if y.shape is not None else 0
    return size if isinstance(size, int) else 0


def _cells_of(y: ir.Value) -> object:
    return y.shape[1] if y.shape is not None and len(y.shape) == 3 else None


def _picture(model: Model) -> tuple[int, int] | None:
    shape = picture_input(model).shape
    height, width = (None, None) if shape is None else (shape[2], shape[3])
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
