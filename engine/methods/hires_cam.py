"""HiResCAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .grad_cam import FeatureMaps, WeightedMaps

__all__ = ["HiResCam"]


@dataclass(frozen=True)
class HiResCam(WeightedMaps):
    """A layer's feature maps, each element times its own gradient, summed (Draelos and Carin, 2020, arXiv:2011.08891).

    ``layer`` and ``relu`` as in grad-cam. Where all that follows the layer is linear, the map without the ReLU sums to
    the score less its bias.
    """

    name: ClassVar[str] = "hires-cam"

    def weights(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        return layer.gradient
