"""Grad-CAM++."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .grad_cam import FeatureMaps, WeightedMaps

__all__ = ["GradCamPlusPlus"]

SMALL = 1e-6  # that pytorch-grad-cam adds to the denominator; it counts where gradients are below 1e-3


@dataclass(frozen=True)
class GradCamPlusPlus(WeightedMaps):
    """A layer's feature maps, summed by shares of positive gradients (Chattopadhay et al., 2018, arXiv:1710.11063).

    The weight of a map A with gradient d is the sum over its places of a max(d, 0), where equation 19 of the paper has
    a = d^2 / (2 d^2 + sum(A) d^3), here with 1e-6 in the denominator. ``layer`` and ``relu`` as in grad-cam.
    """

    name: ClassVar[str] = "grad-cam++"

    def weights(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        d, total = layer.gradient, g.ReduceSum(layer.maps, layer.places, keepdims=1)
        square = g.Mul(d, d)
        below = g.Add(g.Add(g.Mul(2.0, square), g.Mul(total, g.Mul(square, d))), SMALL)
        return g.ReduceSum(g.Mul(g.Div(square, below), g.Relu(d)), layer.places, keepdims=1)
