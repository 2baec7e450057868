"""Quantisation, straight through: rounding counts as passing on, saturation does not.

A number between the ends of what the quantised type can stand for passes, both ends included; beyond them it is clipped
and does not. So a rectifier that was fused into the lower end, by a zero point there, stops what is below zero.

The gradient of a quantised tensor is a float tensor of its shape: the score's change per step of the integer. So the
chain rule holds as it stands, whatever moves the integers between the two ends and whichever scale each end has. The
rounding's derivative is taken to be 1 (Bengio et al., 2013, arXiv:1308.3432), the scale's follows from that (Esser et
al., 2020, arXiv:1902.08153).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir

from ...errors import ModelError
from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, as_rule, pairs_of, vjp
from .convolution import conv
from .indexing import put_slabs
from .linear import matmul

LARGE = 1024  # elements of weights
_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


@vjp("DequantizeLinear")
def dequantize_linear(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y = (x - zero point) scale."""
    _, scale, *zero = node.inputs
    wide = _along(g, node, scale, dy.dtype)
    d_scale = _total(g, node, g.Div(g.Mul(dy, node.outputs[0]), wide), scale)
    return g.Mul(dy, wide), d_scale, *[None] * len(zero)


def dequantised(g: GraphBuilder, node: Node) -> ir.Value:
    """The output of a DequantizeLinear, to the last bit, computed by other operators."""
    x, scale, *zero = node.inputs
    kind = node.outputs[0].dtype
    steps = _real(g, x, kind)
    shifted = steps if not zero or zero[0] is None else g.Sub(steps, _along(g, node, zero[0], kind))
    return g.Mul(shifted, _along(g, node, scale, kind))


@vjp("QuantizeLinear")
def quantize_linear(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y = clip(round(x / scale) + zero point)."""
    x, scale, *zero = node.inputs
    step, real, kept = saturated(g, node, x, dy.dtype)
    dx = g.Where(g.Equal(real, kept), g.Div(dy, step), 0)
    d_scale = g.Neg(_total(g, node, g.Mul(dx, g.Div(real, step)), scale))
    return _real(g, dx, x.dtype) if x.dtype.is_floating_point() else dx, d_scale, *[None] * len(zero)


def saturated(g: GraphBuilder, node: Node, x: Any, dtype: ir.DataType | None) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The step of a QuantizeLinear, x as floats, and x clipped to the ends of what the type of the node stands for."""
    _, scale, *zero = node.inputs
    step, real, kind = _along(g, node, scale, dtype), _real(g, x, dtype), node.outputs[0].dtype or ir.DataType.UINT8
    shift = _along(g, node, zero[0], dtype) if zero else None
    ends = [g.constant(float(end), dtype) for end in (kind.min, kind.max)]
    low, high = (g.Mul(end if shift is None else g.Sub(end, shift), step) for end in ends)
    return step, real, g.Min(g.Max(real, low), high)


@vjp("DynamicQuantizeLinear")
def dynamic_quantize_linear(g: GraphBuilder, node: Node, *dys: ir.Value | None) -> Gradients:
    """The range covers x, so nothing saturates; the scale and the zero point count as given."""
    return None if dys[0] is None else g.Div(dys[0], g.Cast(node.outputs[1], to=dys[0].dtype))


@vjp("ConvInteger", "MatMulInteger")
def integer_product(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The rule of the product of floats. Zero points may be one per output channel, and one per row of a MatMul's a."""
    (a, b), zeros = node.inputs[:2], (*node.inputs[2:], None, None)[:2]
    is_conv = node.op_type == "ConvInteger"
    behind = ([], list(range(1, g.rank(b)))) if is_conv else ([-1], [])
    reals = [_shifted(g, *row, dy.dtype) for row in zip((a, b), zeros, behind, strict=True)]
    in_floats: Any = SimpleNamespace(inputs=reals, outputs=node.outputs, attributes=node.attributes)
    found = pairs_of(in_floats, as_rule(conv if is_conv else matmul)(g, in_floats, dy))
    d_operands = [d and g.sum_to(d, operand) for (_, d), operand in zip(found, (a, b), strict=False)]
    return *d_operands, *[None] * (len(node.inputs) - 2)


def _shifted(
    g: GraphBuilder, x: ir.Value, zero: ir.Value | None, behind: list[int], dtype: ir.DataType | None
) -> ir.Value:
    """x without its zero point, as floats; ``behind`` are the axes that a vector of zero points is short of."""
    if zero is None:
        return _real(g, x, dtype)
    shift = _real(g, zero, dtype)
    return g.Sub(_real(g, x, dtype), g.Unsqueeze(shift, behind) if g.rank(zero) == 1 and behind else shift)


def _real(g: GraphBuilder, x: ir.Value, dtype: ir.DataType | None) -> ir.Value:
    """x as floats; a constant at once, as runtimes cast few of the narrow types, but for large weights of whole bytes,
    which every runtime casts when it loads them: a file is to hold them once."""
    known = constant_of(x)
    if x.dtype == dtype or dtype is None:
        return x
    if known is None or (x.dtype in _BYTES and known.size >= LARGE):
        return g.Cast(x, to=dtype)
    return g.constant(known.astype(dtype.numpy()), dtype)


def _along(g: GraphBuilder, node: Node, value: ir.Value, dtype: ir.DataType | None) -> ir.Value:
    """A scale or zero point so that it broadcasts to the node's input: per tensor, per axis or per block."""
    real = _real(g, value, dtype)
    if g.rank(value) == 0:
        return real
    if _blocks(node):
        return g.Gather(real, _block_numbers(g, node), axis=_axis(g, node))
    sizes = g.dim(node.inputs[0], _axis(g, node)), g.dim(value, 0)
    if all(isinstance(size, int) for size in sizes) and sizes[0] != sizes[1] and 1 not in sizes:
        raise ModelError(f"{node.op_type} (node {node.name!r}) has {sizes[1]} scales for an axis of {sizes[0]}")
    behind = list(range(1, g.rank(node.inputs[0]) - _axis(g, node)))
    return g.Unsqueeze(real, behind) if behind else real


def _total(g: GraphBuilder, node: Node, value: ir.Value, scale: ir.Value) -> ir.Value:
    """The adjoint of ``_along``."""
    if g.rank(scale) == 0:
        total = g.ReduceSum(value, keepdims=0)
    elif _blocks(node):
        total = put_slabs(g, scale, _block_numbers(g, node), value, _axis(g, node))
    else:
        others = [k for k in range(g.rank(value)) if k != _axis(g, node)]
        total = g.reshape_like(g.ReduceSum(value, others, keepdims=0, noop_with_empty_axes=1), scale)
    return _real(g, total, scale.dtype)


def _blocks(node: Node) -> int:
    return node.attributes.get_int("block_size", 0)


def _axis(g: GraphBuilder, node: Node) -> int:
    rank, axis = g.rank(node.inputs[0]), node.attributes.get_int("axis", 1)
    if rank >= 2 and not -rank <= axis < rank:
        raise ModelError(f"{node.op_type} (node {node.name!r}) has axis {axis}, its input {rank} axes")
    return 0 if rank < 2 else axis % rank


def _block_numbers(g: GraphBuilder, node: Node) -> ir.Value:
    """Which block each index along the axis belongs to."""
    size, width = g.dim(node.inputs[0], _axis(g, node)), _blocks(node)
    if isinstance(size, int):
        return g.constant(np.arange(size) // width, ir.DataType.INT64)
    return g.Div(g.counted(node.inputs[0], _axis(g, node)), width)
