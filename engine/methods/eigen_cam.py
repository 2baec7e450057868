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
    last = g.Transpose(x, perm=[0, *layer.places, layer.channels])
    places = g.Shape(last, end=-1)
    sizes = [size if isinstance(size, int) else None for size in (last.shape or [None] * g.rank(last))[1:]]
    if None in sizes:
        table = g.Reshape(last, g.Concat(g.Shape(last, end=1), [-1], g.Shape(last, start=-1), axis=0))
    else:  # the smaller Gram matrix is chosen by the shape, which a computed one hides
        table = g.Reshape(last, [0, prod(size or 1 for size in sizes[:-1]), sizes[-1]])
    table = g.Sub(table, g.ReduceMean(table, [1], keepdims=1))  # (rows, places, channels)
    along = g.MatMul(table, _first_direction(g, table))  # (rows, places, 1)
    mean = g.ReduceMean(table, [2], keepdims=1)
    turned = g.Less(g.ReduceSum(g.Mul(along, mean), [1], keepdims=1), 0.0)
    return g.Reshape(g.Where(turned, g.Neg(along), along), places)


def _first_direction(g: GraphBuilder, table: ir.Value) -> ir.Value:
    """The first right singular vector of each table, (rows, channels, 1), by squaring its smaller Gram matrix."""
    size = g.ReduceMax(g.Abs(table), [1, 2], keepdims=1)
    table = g.Div(table, g.Max(size, TINY))
    turned = g.Transpose(table, perm=[0, 2, 1])
    if _by_places(table):
        v = g.MatMul(turned, _first_eigenvector(g, g.MatMul(table, turned)))
    else:
        v = g.MatMul(turned, g.MatMul(table, _first_eigenvector(g, g.MatMul(turned, table))))
    return g.Div(v, g.Max(g.ReduceL2(v, [1], keepdims=1), TINY))


def _by_places(table: ir.Value) -> bool:
    """Whether the Gram matrix of the places is smaller than that of the channels."""
    _, places, channels = [size if isinstance(size, int) else None for size in (table.shape or (None,) * 3)]
    return (places or OPEN) < (channels or OPEN)


def _first_eigenvector(g: GraphBuilder, gram: ir.Value) -> ir.Value:
    """Of symmetric matrices (rows, n, n), (rows, n, 1): the longest column of a high power."""
    for _ in range(SQUARINGS):
        gram = g.Div(gram, g.Max(g.ReduceMax(g.Abs(gram), [1, 2], keepdims=1), TINY))
        gram = g.MatMul(gram, gram)
    lengths = g.ReduceL2(gram, [1], keepdims=1)
    number = g.ArgMax(lengths, axis=2, keepdims=1)  # (rows, 1, 1)
    column = g.GatherElements(gram, g.expand_like(number, g.swap_last(lengths)), axis=2)
    return g.Div(column, g.Max(g.ReduceL2(column, [1], keepdims=1), TINY))
