"""Replaces DeformConv by a GridSample of every kernel element, and a product with the weights.

Dai et al., 2017, arXiv:1703.06211, and with a mask Zhu et al., 2018, arXiv:1811.11168.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import decomposes


@decomposes("DeformConv", domain="")
def _deform_conv(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, w, offset = node.inputs[:3]
    bias, mask = (*node.inputs[3:], None, None)[:2]
    sizes = [g.dim(v, k) for v, k in ((x, 1), (x, 2), (x, 3), (w, 0), (w, 2), (w, 3), (offset, 2), (offset, 3))]
    if g.rank(x) != 4 or not all(isinstance(n, int) for n in sizes):
        raise ValueError("images of other than two axes, and sizes known only at run time, have no rule")
    c, h, width, m, kh, kw, oh, ow = (int(n) for n in sizes if isinstance(n, int))
    parts, group = (node.attributes.get_int(name, 1) for name in ("offset_group", "group"))
    steps = g.Transpose(g.Reshape(offset, [-1, kh * kw, 2, oh, ow]), perm=[0, 1, 3, 4, 2])
    at = g.Add(steps, g.constant(_places(node, (kh, kw), (oh, ow)), x.dtype))
    unit = g.Sub(g.Div(g.Add(g.Mul(at, 2), 1), g.constant([h, width], x.dtype)), 1)
    grid = g.Reshape(g.Gather(unit, [1, 0], axis=-1), [-1, kh * kw * oh, ow, 2])
    images = g.Reshape(x, [-1, c // parts, h, width])
    read = g.Reshape(
        g.GridSample(images, grid, mode="linear" if g.opset >= 20 else "bilinear"),
        [-1, parts, c // parts, kh * kw, oh * ow],
    )
    if mask is not None:
        read = g.Mul(read, g.Reshape(mask, [-1, parts, 1, kh * kw, oh * ow]))
    columns = g.Reshape(read, [-1, group, c // group * kh * kw, oh * ow])
    y = g.Reshape(g.MatMul(g.Reshape(w, [1, group, m // group, -1]), columns), [-1, m, oh, ow])
    return [y if bias is None else g.Add(y, g.Reshape(bias, [1, -1, 1, 1]))]


def _places(node: Any, kernel: tuple[int, int], out: tuple[int, int]) -> np.ndarray:
    """Where each kernel element of each output lies without an offset: (elements, out, out, 2), rows first."""
    strides, dilations = (node.attributes.get_ints(name, (1, 1)) for name in ("strides", "dilations"))
    pads = node.attributes.get_ints("pads", (0, 0, 0, 0))
    axes = [np.arange(out[k]) * strides[k] - pads[k] + np.arange(kernel[k])[:, None] * dilations[k] for k in range(2)]
    rows = np.broadcast_to(axes[0][:, None, :, None], (*kernel, *out))
    columns = np.broadcast_to(axes[1][None, :, None, :], (*kernel, *out))
    return np.stack([rows, columns], axis=-1).reshape(-1, *out, 2)
