"""Phases of an image, each of them channels of its own, next to each other again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder

__all__ = ["interleave"]


def interleave(g: GraphBuilder, value: ir.Value, channels: int, blocksize: int, surplus: list[int]) -> ir.Value:
    """DepthToSpace in mode CRD, less a surplus at the end, as a ConvTranspose by unit kernels, which is faster."""
    cells = blocksize * blocksize
    units = np.tile(np.eye(cells).reshape(cells, 1, blocksize, blocksize), (channels, 1, 1, 1))
    return g.ConvTranspose(
        value, g.constant(units, value.dtype), group=channels, strides=[blocksize] * 2, pads=[0, 0, *surplus]
    )
