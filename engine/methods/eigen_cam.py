"""EigenCAM and EigenGradCAM."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .base import Method
from .grad_cam import ClassActivationMap, FeatureMaps

__all__ = ["EigenCam", "EigenGradCam"]

SQUARINGS = 12  # the power 4096: what is left of a second component 0.5 % smaller is 1e-9
UNSCALED = 3  # squarings in a row: what has the norm 1 then has n**-4 at least
OPEN = 256  # places that a map of open size is taken to have
TINY = 1e-30


@dataclass(frozen=True)
class EigenCam(ClassActivationMap):
    """A layer's feature maps, projected on their principal component (Muhammad and Yeasin, 2020, arXiv:2008.00299).

    The places are the observations and the channels the variables, centred. The projection has no sign of its own: it
    is taken along the mean map. There is no gradient in it, so the map is the same for every target. ``layer`` and
    ``relu`` as in grad-cam.
    """

    name: ClassVar[str] = "eigen-cam"
    differentiates: ClassVar[bool] = False
    blank: ClassVar[str] = "the feature maps of the layer are the same at every place"

    def relaxed(self) -> list[tuple[Method, str]]:
        return []

    def combined(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        return projection(g, layer.maps, layer)


@dataclass(frozen=True)
class EigenGradCam(ClassActivationMap):
    """A layer's feature maps times their gradients, projected as EigenCAM does (Gildenblat, 2021, pytorch-grad-cam).

    ``layer`` and ``relu`` as in grad-cam.
    """

    name: ClassVar[str] = "eigen-grad-cam"

    def combined(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        return projection(g, g.Mul(layer.gradient, layer.maps), layer)


def projection(g: GraphBuilder, x: ir.Value, layer: FeatureMaps) -> ir.Value:
    """The first principal component of x, in the shape of a map: (rows, *places)."""
    first = x if layer.channels == 1 else g.Transpose(x, perm=[0, layer.channels, *layer.places])
    table, shape = _table(g, first)
    table = g.Sub(table, g.ReduceMean(table, [2], keepdims=1))
    size = g.Max(g.ReduceL1(table, [1, 2], keepdims=1), TINY)
    table = g.Div(table, size)
    along = _along_first_direction(g, table)
    by_mean = g.ReduceSum(g.MatMul(table, along), [1], keepdims=1)  # the product with the mean map, times the channels
    turned = g.Where(g.Less(by_mean, 0.0), g.Neg(size), size)
    return g.Reshape(g.Mul(along, turned), shape)


def _table(g: GraphBuilder, maps: ir.Value) -> tuple[ir.Value, ir.Value | list[int]]:
    """Feature maps (rows, channels, *places) as (rows, channels, places), and the shape of one map.

    Where the sizes are known they are written down: the smaller Gram matrix is chosen by them.
    """
    channels, *places = [size if isinstance(size, int) else None for size in (maps.shape or [None] * g.rank(maps))[1:]]
    if channels is None or None in places:
        rows, sizes = g.Shape(maps, end=1), g.Shape(maps, start=2)
        return g.Reshape(maps, [0, 0, -1]), g.Concat(rows, sizes, axis=0)
    known = [size or 1 for size in places]
    return g.Reshape(maps, [0, channels, prod(known)]), [0, *known]


def _along_first_direction(g: GraphBuilder, table: ir.Value) -> ir.Value:
    """How far each place of (rows, channels, places) lies along the first principal direction, (rows, places, 1)."""
    turned = g.Transpose(table, perm=[0, 2, 1])
    if not _by_places(table):
        gram = g.MatMul(table, turned)
        direction = g.MatMul(gram, _first_eigenvector(g, gram))
        return g.MatMul(turned, g.Div(direction, g.Max(g.ReduceL2(direction, [1], keepdims=1), TINY)))
    gram = g.MatMul(turned, table)
    places = _first_eigenvector(g, gram)
    image = g.MatMul(gram, places)  # the first singular value squared times the places
    squared = g.ReduceSum(g.Mul(places, image), [1], keepdims=1)
    return g.Div(image, g.Max(g.Sqrt(squared), TINY))


def _by_places(table: ir.Value) -> bool:
    """Whether the Gram matrix of the places is smaller than that of the channels."""
    _, channels, places = [size if isinstance(size, int) else None for size in (table.shape or (None,) * 3)]
    return (places or OPEN) < (channels or OPEN)


def _first_eigenvector(g: GraphBuilder, gram: ir.Value) -> ir.Value:
    """Of symmetric matrices (rows, n, n), (rows, n, 1): the longest column of a high power."""
    for k in range(SQUARINGS):
        if k % UNSCALED == 0:
            gram = g.Div(gram, g.Max(g.ReduceL2(gram, [1, 2], keepdims=1), TINY))
        gram = g.MatMul(gram, gram)
    lengths = g.ReduceL2(gram, [1], keepdims=1)
    number = g.ArgMax(lengths, axis=2, keepdims=1)  # (rows, 1, 1)
    column = g.GatherElements(gram, g.expand_like(number, g.swap_last(lengths)), axis=2)
    return g.Div(column, g.Max(g.ReduceL2(column, [1], keepdims=1), TINY))
