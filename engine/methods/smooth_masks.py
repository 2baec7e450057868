"""Smooth masks: random grids of few cells, enlarged by bilinear interpolation and shifted, as points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .baseline import Baseline, check_baseline
from .blurred import baseline_value
from .explained import Explained
from .group_nodes import mix, rows_along
from .groups import LIMIT, Cells
from .samplers import WEIGHT, Sampler

__all__ = ["SmoothMasks"]


@dataclass(frozen=True)
class SmoothMasks(Sampler):
    """Copies of the input, each faded into the baseline by a random mask of its own.

    A grid of ``cells`` along each axis but the channels stays with probability ``keep``, is enlarged to one cell more
    than the input by bilinear interpolation, and shifted by less than a cell. Columns and tokens are cells themselves.
    A point is small: what its grid hides, 0 or 1, and its shifts.
    """

    cells: Cells
    keep: float
    samples: int
    seed: int
    baseline: Baseline

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        check_baseline(self.baseline, explained)
        arrays: dict[str, np.ndarray] = {}
        for k, (name, about) in enumerate(explained.items()):
            rng = np.random.default_rng([self.seed, k])
            axes = self._axes(about)
            if self.samples * (cells := prod(count for _, count in axes)) > LIMIT:
                raise InputError(
                    f"rise of {self.samples} masks of {cells} cells is too much; give fewer by samples= or cells="
                )
            hidden = rng.random((self.samples, *(cells for _, cells in axes))) >= self.keep
            shifts = rng.integers(0, [_cell(*axis) for axis in axes] or [1], (self.samples, max(1, len(axes))))
            arrays[f"hidden/{name}"] = np.concatenate([np.zeros((1, *hidden.shape[1:])), hidden]).astype(np.float32)
            arrays[f"shift/{name}"] = np.concatenate([np.zeros((1, shifts.shape[1])), shifts]).astype(np.float32)
        weights = np.full(1 + self.samples, 1 / (self.keep * self.samples), np.float32)
        weights[0] = 0
        return {WEIGHT: weights, **arrays}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        kept = g.Sub(1, rows_along(g, self.hides(g, about, points), about))  # 1 to the last bit where nothing is hidden
        return mix(g, x, kept, baseline_value(g, x, self.baseline, about))

    def hides(self, g: GraphBuilder, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        """How much the masks of the rows hide of each place, 0 to 1: (rows, *places), channels of length 1."""
        mask, shifts, axes = points[f"hidden/{about.name}"], points[f"shift/{about.name}"], self._axes(about)
        count = len(axes)
        for axis, (size, cells) in reversed(list(enumerate(axes))):  # the last axis, which then becomes the first
            begin = g.Cast(g.Gather(shifts, g.constant([axis], ir.DataType.INT64), axis=1), to=ir.DataType.INT64)
            places = g.Add(begin, g.constant(np.arange(size)[None], ir.DataType.INT64))
            table = g.Gather(g.constant(_enlarged(size, cells).T, ir.DataType.FLOAT), places, axis=1)
            table = g.Transpose(table, perm=[1, 0, 2])  # (rows, cells, size)
            table = g.Unsqueeze(table, list(range(1, count - 1))) if count > 2 else table
            mask = g.MatMul(mask if count > 1 else g.Unsqueeze(mask, [1]), table)
            mask = g.Transpose(mask, perm=[0, count, *range(1, count)]) if count > 1 else g.Squeeze(mask, [1])
        return mask if about.channels is None else g.Unsqueeze(mask, [1 + about.channels])

    def _axes(self, about: Explained) -> list[tuple[int, int]]:
        """Size and cells of each axis but the channels."""
        sizes = about.sizes("rise needs")
        given = self.cells if isinstance(self.cells, Sequence) else [self.cells] * len(about.places)
        cells = about.per_axis(given, 1, "cells")
        if about.channels is not None and cells[about.channels] != 1:
            raise InputError(
                f"cells={self.cells}: a mask of rise is of all channels of {about.name!r}; leave these out"
            )
        each = about.tokens is not None or len(sizes) < 2
        pairs = [(size, size if each else min(count or 1, size)) for size, count in zip(sizes, cells, strict=True)]
        return [pair for axis, pair in enumerate(pairs) if axis != about.channels]


def _cell(size: int, cells: int) -> int:
    """The elements of a cell: a row of cells and one more cover the size at any shift; without interpolation one."""
    return -(-size // cells)


def _enlarged(size: int, cells: int) -> np.ndarray:
    """The weights (enlarged, cells) of bilinear interpolation of an axis to one cell more, mirrored at its ends."""
    if cells == size:
        return np.eye(size)
    count = (cells + 1) * _cell(size, cells)
    at = (np.arange(count) + 0.5) * cells / count - 0.5
    low = np.floor(at).astype(int)
    table = np.zeros((count, cells))
    for step, weight in ((0, low + 1 - at), (1, at - low)):
        mirrored = np.abs(low + step)
        np.add.at(table, (np.arange(count), np.minimum(mirrored, 2 * (cells - 1) - mirrored)), weight)
    return table
