"""Convolutions. The input's gradient is a transposed convolution, in the form that is fastest where it will run."""

from __future__ import annotations

import sys

import numpy as np
import onnx_ir as ir

from ..graph import GraphBuilder
from ..rules import Gradients, Node, vjp
from .window import Window, spatial_shape, window_of

__all__ = ["input_gradient"]


@vjp("Conv")
def conv(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, w = node.inputs[:2]
    group = node.attributes.get_int("group", 1)
    window = window_of(node, x, _kernel(w))
    return input_gradient(g, x, w, dy, window, group), _weight_gradient(g, x, w, dy, window, group), _bias(g, dy)


@vjp("ConvTranspose")
def conv_transpose(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The adjoint of a convolution's adjoint: dX is the convolution of dY, and dW swaps the roles of X and dY."""
    x, w = node.inputs[:2]
    group = node.attributes.get_int("group", 1)
    window = _transposed_window(node, x, w)
    dx = g.Conv(dy, w, group=group, **window.attributes())
    return _crop(g, dx, x), _weight_gradient(g, dy, w, x, window, group), _bias(g, dy)


def _kernel(w: ir.Value) -> tuple[int, ...]:
    sizes = spatial_shape(w)
    if sizes is None:
        raise ValueError("the kernel's size must be known before the model runs")
    return sizes


def _bias(g: GraphBuilder, dy: ir.Value) -> ir.Value:
    return g.ReduceSum(dy, [0, *range(2, g.rank(dy))], keepdims=0)


def input_gradient(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int = 1) -> ir.Value:
    """The adjoint of ``Conv(x, w)`` in x, applied to dy.

    cuDNN's own backward pass is what ConvTranspose calls; onnxruntime's CPU has no fast ConvTranspose, but a fast Conv.
    """
    if g.lowering == "cpu":
        plain = _as_convolution(g, x, w, dy, window, group)
        if plain is not None:
            return plain
    return _as_transpose(g, x, w, dy, window, group)


def _as_transpose(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value:
    """ConvTranspose; where the size of x is open, its longest form is cut to that of x."""
    rest = _rest(x, dy, window)
    if rest is None:
        return _cut_transpose(g, x, w, dy, window, group)
    return g.ConvTranspose(dy, w, group=group, output_padding=rest, **window.attributes())


def _rest(x: ir.Value, dy: ir.Value, window: Window) -> list[int] | None:
    """How many elements at the end of x no window starts at; None where that is open or more than a stride."""
    sizes, reached = spatial_shape(x), spatial_shape(dy)
    if sizes is None or reached is None:
        return None
    spans = zip(sizes, reached, window.strides, window.span, window.begin, window.end, strict=True)
    rest = [n - (s * (o - 1) + span - b - e) for n, o, s, span, b, e in spans]
    return rest if all(0 <= r < s for r, s in zip(rest, window.strides, strict=True)) else None


def _cut_transpose(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value:
    rest = [s - 1 for s in window.strides]
    strides, dilations = [*window.strides], [*window.dilations]
    full = g.ConvTranspose(dy, w, group=group, strides=strides, dilations=dilations, output_padding=rest)
    reach = [-b for b in window.begin]
    return _crop(g, g.Pad(full, g.vector([0, 0, *reach, 0, 0, *window.end])), x)


def _crop(g: GraphBuilder, value: ir.Value, x: ir.Value) -> ir.Value:
    """The beginning of a value along its spatial axes, as long as x."""
    sizes = spatial_shape(x)
    if sizes is not None and spatial_shape(value) == sizes:
        return value
    axes = list(range(2, g.rank(x)))
    return g.Slice(value, [0] * len(axes), g.vector([g.dim(x, axis) for axis in axes]), axes)


def _as_convolution(
    g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int
) -> ir.Value | None:
    """A plain Conv with flipped weights, None where that form does not apply."""
    if all(s == 1 for s in window.strides):
        return _unit_stride(g, w, dy, window, group)
    rest = _rest(x, dy, window)
    if rest is not None and all(k == 1 for k in window.kernel) and not any(window.pads):
        return _spread(g, g.Conv(dy, _swap_channels(g, w, group), group=group), window, rest)
    if rest is not None and g.dim(w, 0) == group and g.dim(w, 1) == 1:
        return _unit_stride(g, w, _spread(g, dy, window, rest), window, group)
    return _by_phases(g, x, w, dy, window, group)


def _unit_stride(g: GraphBuilder, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value | None:
    pads = [n - 1 - p for n, p in zip(window.span * 2, window.pads, strict=True)]
    if min(pads) < 0:
        return None
    flipped = _swap_channels(g, _flip(g, w, [k for k in range(2, 2 + window.rank) if window.kernel[k - 2] > 1]), group)
    return g.Conv(dy, flipped, group=group, pads=pads, dilations=[*window.dilations])


def _flip(g: GraphBuilder, w: ir.Value, axes: list[int]) -> ir.Value:
    n = len(axes)
    return g.Slice(w, [-1] * n, [-sys.maxsize] * n, axes, [-1] * n) if axes else w


def _swap_channels(g: GraphBuilder, w: ir.Value, group: int) -> ir.Value:
    """(M, C/G, ...) to (C, M/G, ...), group by group."""
    m, c, *kernel = (g.dim(w, k) for k in range(g.rank(w)))
    if group == 1:
        return g.Transpose(w, perm=[1, 0, *range(2, g.rank(w))])
    if m == group and c == 1:
        return w
    grouped = g.reshape(w, [group, m // group, c, *kernel])
    swapped = g.Transpose(grouped, perm=[0, 2, 1, *range(3, 3 + len(kernel))])
    return g.reshape(swapped, [group * c, m // group, *kernel])


def _spread(g: GraphBuilder, value: ir.Value, window: Window, rest: list[int]) -> ir.Value | None:
    """Elements a stride apart, zeros between: a depthwise ConvTranspose by 1, ten times as fast as Pad and Reshape."""
    channels = g.dim(value, 1)
    if not isinstance(channels, int):
        return None
    ones = g.constant(np.ones((channels, 1, *[1] * window.rank)), value.dtype)
    return g.ConvTranspose(value, ones, group=channels, strides=[*window.strides], output_padding=rest)


def _interleave(g: GraphBuilder, value: ir.Value, blocksize: int, surplus: list[int]) -> ir.Value:
    """DepthToSpace in mode CRD, less a surplus at the end, as a ConvTranspose by unit kernels, which is faster."""
    cells = blocksize * blocksize
    channels = g.dim(value, 1) // cells
    units = np.tile(np.eye(cells).reshape(cells, 1, blocksize, blocksize), (channels, 1, 1, 1))
    return g.ConvTranspose(
        value, g.constant(units, value.dtype), group=channels, strides=[blocksize] * 2, pads=[0, 0, *surplus]
    )


def _by_phases(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value | None:
    """One Conv that computes every phase of x modulo the stride as channels, which are then interleaved.

    Element i = s q + r takes dY[q + u] W[k] for all k = r + begin - s u, so a phase r is a correlation of dY with
    every s-th weight, u from ceil((begin - K + 1) / s) to ceil(begin / s).
    """
    sizes, reached, s = spatial_shape(x), spatial_shape(dy), window.strides[0]
    plain = window.rank == 2 and window.strides == (s, s) and window.dilations == (1, 1)
    if not plain or sizes is None or reached is None or not isinstance(g.dim(w, 1), int):
        return None
    last = [-(-b // s) for b in window.begin]
    first = [-((k - 1 - b) // s) for k, b in zip(window.kernel, window.begin, strict=True)]
    cells = [-(-n // s) for n in sizes]
    pads = [*(-u for u in first), *(q - o + u for q, o, u in zip(cells, reached, last, strict=True))]
    if min(pads) < 0:
        return None
    phases = g.Conv(dy, _phase_weights(g, w, window, group, first, last), group=group, pads=pads)
    return _interleave(g, phases, s, [q * s - n for q, n in zip(cells, sizes, strict=True)])


def _phase_weights(
    g: GraphBuilder, w: ir.Value, window: Window, group: int, first: list[int], last: list[int]
) -> ir.Value:
    """(M, C/G, K, K) to (C s s, M/G, T, T)."""
    s, (m, c) = window.strides[0], (g.dim(w, 0), g.dim(w, 1))
    taps = [v - u + 1 for u, v in zip(first, last, strict=True)]
    left = [s * v - b for v, b in zip(last, window.begin, strict=True)]
    right = [s * t - k - p for t, k, p in zip(taps, window.kernel, left, strict=True)]
    whole = g.Pad(w, [0, 0, *left, 0, 0, *right])
    split = g.reshape(whole, [group, m // group, c, taps[0], s, taps[1], s])
    turned = g.Transpose(_flip(g, split, [3, 5]), perm=[0, 2, 4, 6, 1, 3, 5])
    return g.reshape(turned, [group * c * s * s, m // group, *taps])


def _weight_gradient(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value:
    """A convolution of x with dY in which batch and channels change places, and strides and dilations too."""
    swap = [1, 0, *range(2, g.rank(x))]
    if group == 1:
        images = g.Transpose(x, perm=swap)
    else:
        batch, channels, *sizes = (g.dim(x, k) for k in range(g.rank(x)))
        each = channels // group if isinstance(channels, int) else g.dim(w, 1)
        grouped = g.reshape(x, [batch, group, each, *sizes])
        folded = g.Transpose(grouped, perm=[2, 1, 0, *range(3, 3 + len(sizes))])
        images = g.Reshape(folded, g.vector([each, -1, *sizes]))
    dw = g.Conv(
        images,
        g.Transpose(dy, perm=swap),
        group=group,
        strides=[*window.dilations],
        dilations=[*window.strides],
        pads=window.pads,
    )
    return _crop(g, g.Transpose(dw, perm=swap), w)


def _transposed_window(node: Node, x: ir.Value, w: ir.Value) -> Window:
    """The window of the convolution whose adjoint a ConvTranspose node is."""
    window = window_of(node, x, _kernel(w)) if _pads_are_given(node) else None
    return window or _window_from_output(node, x, w)


def _pads_are_given(node: Node) -> bool:
    return (
        not node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
        and "output_shape" not in node.attributes
    )


def _window_from_output(node: Node, x: ir.Value, w: ir.Value) -> Window:
    """Pads that lead to the node's output size, split as the standard has it."""
    sizes, made = spatial_shape(x), spatial_shape(node.outputs[0])
    if sizes is None or made is None:
        raise ValueError("pads that follow from the output's size need a size that is known before the model runs")
    kernel = _kernel(w)
    strides = node.attributes.get_ints("strides", [1] * len(kernel))
    dilations = node.attributes.get_ints("dilations", [1] * len(kernel))
    rest = node.attributes.get_ints("output_padding", [0] * len(kernel))
    bare = Window(tuple(kernel), tuple(strides), tuple(dilations), (0,) * len(kernel), (0,) * len(kernel))
    totals = [
        s * (n - 1) + r + span - o for s, n, r, span, o in zip(strides, sizes, rest, bare.span, made, strict=True)
    ]
    less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    upper = node.attributes.get_string("auto_pad", "NOTSET") == "SAME_UPPER"
    begin, end = (more, less) if upper else (less, more)
    return Window(bare.kernel, bare.strides, bare.dilations, begin, end)
