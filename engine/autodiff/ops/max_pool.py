"""The maximum over windows. One that several elements share sends its gradient to the first."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp
from .flipped import interleave
from .scatter import scatter_flat
from .window import remainder, spatial_shape, window_of

_STEEP = 2.0**126  # HardSigmoid(_STEEP d + 1) is 1 where d >= 0 and 0 where d < 0


@vjp("MaxPool")
def max_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    channels = _channels_in_cells(node, x, dy) if g.lowering == "cpu" else None
    if channels is not None:
        return _by_quarters(g, x, node.outputs[0], dy, channels)
    _, indices = g.MaxPool(x, outputs=2, **{**node.attributes, "storage_order": None})
    return scatter_flat(g, x, indices, dy)


def _channels_in_cells(node: Node, x: ir.Value, dy: ir.Value) -> int | None:
    """The channels of a float32 image whose 2x2 cells the windows are, with no row or column left over; else None."""
    channels = None if x.shape is None else x.shape[1]
    if not isinstance(channels, int) or spatial_shape(x) is None or x.dtype != ir.DataType.FLOAT:
        return None
    window = window_of(node, x, node.attributes.get_ints("kernel_shape"))
    plain = window.kernel == window.strides == (2, 2) and window.dilations == (1, 1) and not any(window.pads)
    return channels if plain and remainder(x, dy, window) == [0, 0] else None


def _by_quarters(g: GraphBuilder, x: ir.Value, y: ir.Value, dy: ir.Value, channels: int) -> ir.Value:
    """dY to the upper row where that holds the maximum, else to the lower, and there to the left where it is no less.

    Depthwise convolutions make the differences: they stay in onnxruntime's blocked layout, and the whole takes a third
    of the time of MaxPool with its indices and ScatterElements.
    """
    highest_above = g.MaxPool(x, kernel_shape=[1, 2], strides=[2, 2])
    above, left_above, left_below = (
        g.HardSigmoid(difference, alpha=_STEEP, beta=1.0)
        for difference in (
            g.Add(_each_plane(g, y, channels, [[-1]]), highest_above),
            _each_plane(g, x, channels, [[1, -1], [0, 0]]),
            _each_plane(g, x, channels, [[0, 0], [1, -1]]),
        )
    )
    upper, lower = _divide(g, dy, above)
    quarters = [*_divide(g, upper, left_above), *_divide(g, lower, left_below)]
    stacked = g.Concat(*(g.Unsqueeze(quarter, [2]) for quarter in quarters), axis=2)
    cells = g.Reshape(stacked, [-1, 4 * channels, *(spatial_shape(dy) or ())])
    return g.shaped_like(interleave(g, cells, channels, 2, [0, 0]), x)


def _each_plane(g: GraphBuilder, x: ir.Value, channels: int, kernel: list[list[int]]) -> ir.Value:
    """A kernel over every channel by itself, one step per window."""
    w = g.constant(np.tile(np.array(kernel), (channels, 1, 1, 1)), x.dtype)
    return g.Conv(x, w, group=channels, strides=[len(kernel)] * 2)


def _divide(g: GraphBuilder, dy: ir.Value, mask: ir.Value) -> tuple[ir.Value, ir.Value]:
    """dy where the mask is 1, and the rest."""
    taken = g.Mul(dy, mask)
    return taken, g.Sub(dy, taken)
