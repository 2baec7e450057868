"""LayerCAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .grad_cam import FeatureMaps, WeightedMaps

__all__ = ["LayerCam"]


@dataclass(frozen=True)
class LayerCam(WeightedMaps):
    """A layer's feature maps, each element times its own positive gradient, summed (Jiang et al., 2021, TIP 30).

    ``layer`` as in grad-cam; of early layers the map is finer. ``relu=False`` keeps the negative part of the sum, which
    feature maps below zero make.
    """

    name: ClassVar[str] = "layer-cam"

    def weights(self, g: GraphBuilder, layer: FeatureMaps) -> ir.Value:
        return g.Relu(layer.gradient)
