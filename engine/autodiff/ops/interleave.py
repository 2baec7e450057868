"""Phases of an image, each of them channels of its own, next to each other again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder

__all__ = ["interleave", "next_to_each_other"]


def interleave(g: GraphBuilder, value: ir.Value, channels: int, blocksize: int, surplus: list[int]) -> ir.Value:
    """DepthToSpace in mode CRD, less a surplus at the end, as a ConvTranspose by unit kernels, which is faster."""
    return next_to_each_other(g, value, channels, [blocksize] * 2, pads=[0, 0, *surplus])


def next_to_each_other(
    g: GraphBuilder, value: ir.Value, channels: int, strides: Sequence[int], **attributes: Any
) -> ir.Value:
    """The phases of each channel as one image, by a ConvTranspose whose groups give two channels or more.

    onnxruntime-web 1.30 on WebGPU gives wrong numbers where a group has one (and an even number of phases), silently.
    On a CPU two take as long as one: what is added to each sum are zeros.
    """
    cells, together = int(np.prod(strides)), _smallest_factor(channels)
    phases = np.eye(cells).reshape(cells, *strides)
    units = np.tensordot(np.eye(together), phases, axes=0).swapaxes(1, 2)  # channel, phase, channel, image
    kernel = np.tile(
        units.reshape(together * cells, together, *strides), (channels // together, 1, *[1] * len(strides))
    )
    return g.ConvTranspose(
        value, g.constant(kernel, value.dtype), group=channels // together, strides=[*strides], **attributes
    )


def _smallest_factor(count: int) -> int:
    """Except 1, unless there is no other."""
    return next((k for k in range(2, count + 1) if count % k == 0), 1)
