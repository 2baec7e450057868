"""onnxruntime's blocked layout on the CPU, in which the channels of an image lie together in blocks of 8 or 16."""

from __future__ import annotations

import onnx_ir as ir

from .shapes import constant_of
from .weights import weight_bytes

__all__ = ["divides_in_blocks", "filled_blocks"]

_BLOCK = 16  # channels of the widest block; others have 8
_SEVERAL = 4  # quotients, from which on a second opening is soon made up for
_WEIGHTS = 2**26  # bytes; more take long to write and read again, and their convolutions most of the time


def filled_blocks(image: ir.Value) -> int | None:
    """The channels of a float32 image that fill blocks of every width; else None."""
    shape = list(image.shape or ())
    channels = shape[1] if len(shape) == 4 and image.dtype == ir.DataType.FLOAT else None
    return channels if isinstance(channels, int) and channels % _BLOCK == 0 else None


def divides_in_blocks(program: ir.Model) -> bool:
    """Whether a graph has quotients of images for which onnxruntime would leave its layout, and no large weights.

    It has kernels of its own layout for products and sums of images, not for quotients and differences.
    """
    quotients = [node for node in program.graph if node.op_type == "Div" and node.domain == ""]
    of_images = [node for node in quotients if filled_blocks(node.outputs[0]) and constant_of(node.inputs[1]) is None]
    return len(of_images) >= _SEVERAL and weight_bytes(program) <= _WEIGHTS
