"""The maximum over windows. One that several elements share sends its gradient to the first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, vjp
from ..signs import kept_where
from .blocked import each_plane, finite, step
from .interleave import interleave
from .max_by_taps import by_taps, by_taps_pays
from .scatter import scatter_flat
from .window import Window, remainder, spatial_shape, window_of

_MANY = 25  # elements of a window: each of them takes three nodes


@vjp("MaxPool")
def max_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    if (found := _without_indices(g, node, x, dy)) is not None:
        return found
    _, indices = g.MaxPool(x, outputs=2, **{**node.attributes, "storage_order": None})
    return scatter_flat(g, x, indices, dy)


def _without_indices(g: GraphBuilder, node: Node, x: ir.Value, dy: ir.Value) -> ir.Value | None:
    """dX in the form that is fastest for the lowering; None where it has none, and where the size of x is open."""
    if spatial_shape(x) is None:  # then the pads of auto_pad are open too
        return None
    channels = _channels_in_cells(node, x, dy) if g.lowering == "cpu" else None
    if channels is not None:
        return _by_quarters(g, x, node.outputs[0], dy, channels)
    if by_taps_pays(g, node, x, dy):
        return by_taps(g, node, x, dy)
    return _by_comparisons(g, node, x, dy) if g.lowering == "portable" else None


def _by_comparisons(g: GraphBuilder, node: Node, x: ir.Value, dy: ir.Value) -> ir.Value | None:
    """dY at the first element of a window that is its maximum, found by comparisons; None where that form has no place.

    OpenVINO 2026.4 computes a MaxPool with indices by its reference code: half the time of a ResNet-50's gradient.
    """
    window, y = window_of(node, x, node.attributes.get_ints("kernel_shape")), node.outputs[0]
    channels, reached = None if x.shape is None else x.shape[1], spatial_shape(dy)
    s = window.strides[0]
    plain = window.rank == 2 and window.strides == (s, s) and window.dilations == (1, 1)
    if not plain or not isinstance(channels, int) or reached is None or remainder(x, dy, window) is None:
        return None
    if math.prod(window.kernel) > _MANY:
        return None
    cells = [n + (k - 1) // s for n, k in zip(reached, window.kernel, strict=True)]
    phases: dict[tuple[int, int], ir.Value] = {}
    for place, part in _parts(g, _padded(g, x, window), y, dy, window, reached):
        before = [k // s for k in place]
        after = [n - o - b for n, o, b in zip(cells, reached, before, strict=True)]
        moved = g.Pad(part, g.vector([0, 0, *before, 0, 0, *after])) if any((*before, *after)) else part
        phase = (place[0] % s, place[1] % s)
        phases[phase] = g.Add(phases[phase], moved) if phase in phases else moved
    return _joined(g, phases, x, window, channels, cells)


def _parts(
    g: GraphBuilder, whole: ir.Value, y: ir.Value, dy: ir.Value, window: Window, reached: tuple[int, ...]
) -> Iterator[tuple[tuple[int, int], ir.Value]]:
    """For each place of a window dY where the maximum is there, and at no place before."""
    taken: ir.Value | None = None
    for place in itertools.product(*map(range, window.kernel)):
        end = [k + s * (n - 1) + 1 for k, s, n in zip(place, window.strides, reached, strict=True)]
        here = g.Equal(g.Slice(whole, [*place], end, [2, 3], [*window.strides]), y)
        yield (place[0], place[1]), kept_where(g, here if taken is None else g.And(here, g.Not(taken)), dy)
        taken = here if taken is None else g.Or(taken, here)


def _joined(
    g: GraphBuilder,
    phases: dict[tuple[int, int], ir.Value],
    x: ir.Value,
    window: Window,
    channels: int,
    cells: list[int],
) -> ir.Value:
    """The phases of the padded x modulo the stride, next to each other again, without the pads."""
    s, sizes = window.strides[0], spatial_shape(x) or ()
    if s > 1:
        nothing = g.Expand(g.constant(0, x.dtype), g.Shape(next(iter(phases.values()))))
        each = [phases.get(phase, nothing) for phase in itertools.product(range(s), range(s))]
        stacked = g.Concat(*(g.Unsqueeze(one, [2]) for one in each), axis=2)
        whole = interleave(g, g.Reshape(stacked, [-1, channels * s * s, *cells]), channels, s, [0, 0])
    else:
        whole = phases[0, 0]
    rest = [b + n - s * c for b, n, c in zip(window.begin, sizes, cells, strict=True)]  # of x at the end, in no window
    if any(n > 0 for n in rest):
        whole = g.Pad(whole, g.vector([0] * 6 + [max(n, 0) for n in rest]))
    if all(b == 0 and n >= 0 for b, n in zip(window.begin, rest, strict=True)):
        return g.shaped_like(whole, x)
    ends = [b + n for b, n in zip(window.begin, sizes, strict=True)]
    return g.shaped_like(g.Slice(whole, [*window.begin], ends, [2, 3]), x)


def _padded(g: GraphBuilder, x: ir.Value, window: Window) -> ir.Value:
    """x between elements that are no maximum."""
    if not any(window.pads):
        return x
    lowest = -np.inf if x.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE) else -6e4
    pads = [0, 0, *window.begin, 0, 0, *window.end]
    return g.Pad(x, g.vector(pads), g.constant(lowest, x.dtype))


def _channels_in_cells(node: Node, x: ir.Value, dy: ir.Value) -> int | None:
    """The channels of a float32 image whose 2x2 cells the windows are, with no row or column left over; else None."""
    channels = None if x.shape is None else x.shape[1]
    if not isinstance(channels, int) or x.dtype != ir.DataType.FLOAT:
        return None
    window = window_of(node, x, node.attributes.get_ints("kernel_shape"))
    plain = window.kernel == window.strides == (2, 2) and window.dilations == (1, 1) and not any(window.pads)
    return channels if plain and remainder(x, dy, window) == [0, 0] else None


def _by_quarters(g: GraphBuilder, x: ir.Value, y: ir.Value, dy: ir.Value, channels: int) -> ir.Value:
    """dY to the upper row where that holds the maximum, else to the lower, and there to the left where it is no less.

    Depthwise convolutions make the differences: they stay in onnxruntime's blocked layout, and the whole takes a third
    of the time of MaxPool with its indices and ScatterElements.
    """
    x, y = finite(g, x), finite(g, y)
    highest_above = g.MaxPool(x, kernel_shape=[1, 2], strides=[2, 2])
    above, left_above, left_below = (
        step(g, difference)
        for difference in (
            g.Add(each_plane(g, y, [[-1]]), highest_above),
            each_plane(g, x, [[1, -1], [0, 0]], strides=[2, 2]),
            each_plane(g, x, [[0, 0], [1, -1]], strides=[2, 2]),
        )
    )
    upper, lower = _divide(g, dy, above)
    quarters = [*_divide(g, upper, left_above), *_divide(g, lower, left_below)]
    stacked = g.Concat(*(g.Unsqueeze(quarter, [2]) for quarter in quarters), axis=2)
    cells = g.Reshape(stacked, [-1, 4 * channels, *(spatial_shape(dy) or ())])
    return g.shaped_like(interleave(g, cells, channels, 2, [0, 0]), x)


def _divide(g: GraphBuilder, dy: ir.Value, mask: ir.Value) -> tuple[ir.Value, ir.Value]:
    """dy where the mask is 1, and the rest."""
    taken = g.Mul(dy, mask)
    return taken, g.Sub(dy, taken)
