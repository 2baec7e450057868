"""XGrad-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .grad_cam import FeatureMaps, WeightedMaps

__all__ = ["XGradCam"]

SMALL = 1e-7  # that pytorch-grad-cam adds to the sum of a map


@dataclass(frozen=True)
class XGradCam(WeightedMaps):
    """A layer's feature maps, summed by gradients that their activations weigh (Fu et al., 2020, arXiv:2008.02312).

    The weight of a map A with gradient d is the sum over its places of A d / (sum(A) + 1e-7). ``layer`` and ``relu`` as
    in grad-cam; sums near zero, of layers with negative values, make weights large.
    """

    name: ClassVar[str] = "xgrad-cam"

    def weights(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        total = g.ReduceSum(layer.maps, layer.places, keepdims=1)
        weighted = g.ReduceSum(g.Mul(layer.gradient, layer.maps), layer.places, keepdims=1)
        return g.Div(weighted, g.Add(total, SMALL))
