"""Convolutions. The input's gradient is a transposed convolution, in the form that is fastest where it will run."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Node, Unsettled, vjp
from .flipped import as_convolution
from .window import Window, remainder, spatial_shape, window_of

__all__ = ["input_gradient"]


@vjp("Conv")
def conv(g: GraphBuilder, node: Node, dy: ir.Value) -> Unsettled:
    x, w = node.inputs[:2]
    group = node.attributes.get_int("group", 1)
    window = window_of(node, x, _kernel(w))
    return [
        lambda: input_gradient(g, x, w, dy, window, group),
        lambda: _weight_gradient(g, x, w, dy, window, group),
        lambda: _bias(g, dy),
    ]


@vjp("ConvTranspose")
def conv_transpose(g: GraphBuilder, node: Node, dy: ir.Value) -> Unsettled:
    """The adjoint of a convolution's adjoint: dX is the convolution of dY, and dW swaps the roles of X and dY."""
    x, w = node.inputs[:2]
    group = node.attributes.get_int("group", 1)
    window = _transposed_window(node, x, w)
    return [
        lambda: _crop(g, g.Conv(dy, w, group=group, **window.attributes()), x),
        lambda: _weight_gradient(g, dy, w, x, window, group),
        lambda: _bias(g, dy),
    ]


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
    if g.lowering != "cuda":
        plain = as_convolution(g, x, w, dy, window, group)
        if plain is not None:
            return plain
    return _as_transpose(g, x, w, dy, window, group)


def _as_transpose(g: GraphBuilder, x: ir.Value, w: ir.Value, dy: ir.Value, window: Window, group: int) -> ir.Value:
    """ConvTranspose; where the size of x is open, its longest form is cut to that of x."""
    rest = remainder(x, dy, window)
    if rest is None:
        return _cut_transpose(g, x, w, dy, window, group)
    return g.ConvTranspose(dy, w, group=group, output_padding=rest, **window.attributes())


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
    """Pads that lead to the node's output size, split as the standard has it; none where no window reaches its end."""
    sizes, made = spatial_shape(x), spatial_shape(node.outputs[0])
    if sizes is None or made is None:
        raise ValueError("pads that follow from the output's size need a size that is known before the model runs")
    kernel = _kernel(w)
    strides = node.attributes.get_ints("strides", [1] * len(kernel))
    dilations = node.attributes.get_ints("dilations", [1] * len(kernel))
    rest = node.attributes.get_ints("output_padding", [0] * len(kernel))
    bare = Window(tuple(kernel), tuple(strides), tuple(dilations), (0,) * len(kernel), (0,) * len(kernel))
    totals = [
        max(s * (n - 1) + r + span - o, 0)
        for s, n, r, span, o in zip(strides, sizes, rest, bare.span, made, strict=True)
    ]
    less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    upper = node.attributes.get_string("auto_pad", "NOTSET") == "SAME_UPPER"
    begin, end = (less, more) if upper else (more, less)
    return Window(bare.kernel, bare.strides, bare.dilations, begin, end)
