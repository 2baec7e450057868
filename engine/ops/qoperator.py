"""Operators on quantised tensors with scales of their own, straight through as in quantization.py.

The gradient of a quantised tensor is the score's change per step. An output at an end of its range counts as
saturated: of a rectified one that is where the rectifier is 0. Scales and zero points count as given.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import onnx_ir as ir

from ..graph import GraphBuilder
from ..rules import Gradients, Node, as_rule, vjp
from .convolution import conv
from .linear import matmul
from .pooling import average_pool, global_average_pool
from .softmax import softmax

_MS = "com.microsoft"


def _real(g: GraphBuilder, x: Any, scale: Any, zero: Any, dtype: Any, behind: int = 0) -> ir.Value:
    """The numbers that a quantised tensor stands for; ``behind`` axes follow that of the scales."""
    wide = [_wide(g, v, behind) for v in (scale, zero)]
    shifted = g.Cast(x, to=dtype) if zero is None else g.Sub(g.Cast(x, to=dtype), g.Cast(wide[1], to=dtype))
    return g.Mul(shifted, g.Cast(wide[0], to=dtype))


def _wide(g: GraphBuilder, value: Any, behind: int) -> Any:
    """A vector of several scales, one per output channel, so that it broadcasts."""
    per_channel = value is not None and behind and value.shape is not None and len(value.shape) == 1
    return g.Unsqueeze(value, list(range(1, 1 + behind))) if per_channel else value


def _inside(g: GraphBuilder, y: ir.Value, dy: ir.Value, scale: Any, zero: Any) -> ir.Value:
    """The gradient with respect to the real number that y is rounded from."""
    kind = y.dtype or (ir.DataType.UINT8 if zero is None else zero.dtype)
    steps = g.Cast(y, to=dy.dtype)
    free = g.And(g.Greater(steps, float(kind.min)), g.Less(steps, float(kind.max)))
    return g.Where(free, g.Div(dy, g.Cast(scale, to=dy.dtype)), 0)


def _node(node: Node, inputs: list[Any], outputs: list[Any] | None = None) -> Any:
    """The same operator on real numbers."""
    return SimpleNamespace(inputs=inputs, outputs=outputs or list(node.outputs), attributes=node.attributes, op_type="")


@vjp("QLinearConv")
def q_linear_conv(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, sx, zx, w, sw, zw, sy, zy, *bias = node.inputs
    d, behind = _inside(g, node.outputs[0], dy, sy, zy), g.rank(w) - 1
    reals = [_real(g, x, sx, zx, dy.dtype), _real(g, w, sw, zw, dy.dtype, behind)]
    dx, dw, *_ = as_rule(conv)(g, _node(node, reals), d)
    steps = g.Mul(g.Cast(sx, to=dy.dtype), g.Cast(sw, to=dy.dtype))
    d_bias = [g.Mul(g.ReduceSum(d, [0, *range(2, g.rank(d))], keepdims=0), steps)] if bias else []
    found = g.Mul(dx, g.Cast(sx, to=dy.dtype)), g.Mul(dw, g.Cast(_wide(g, sw, behind), to=dy.dtype))
    return found[0], None, None, found[1], *[None] * 4, *d_bias


@vjp("QLinearMatMul")
def q_linear_matmul(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    a, sa, za, b, sb, zb, sy, zy = node.inputs
    d = _inside(g, node.outputs[0], dy, sy, zy)
    da, db = as_rule(matmul)(g, _node(node, [_real(g, a, sa, za, dy.dtype), _real(g, b, sb, zb, dy.dtype)]), d)
    return _back(g, da, sa, a), None, None, _back(g, db, sb, b), *[None] * 4


def _back(g: GraphBuilder, value: Any, scale: Any, x: Any) -> ir.Value:
    """Per step of x, in the shape of x."""
    return g.sum_to(g.Mul(value, g.Cast(scale, to=value.dtype)), x)


@vjp("QLinearAdd", domain=_MS)
def q_linear_add(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    a, sa, _, b, sb, _, sy, *zy = node.inputs
    d = _inside(g, node.outputs[0], dy, sy, zy[0] if zy else None)
    return _back(g, d, sa, a), None, None, _back(g, d, sb, b), *[None] * (2 + len(zy))


@vjp("QLinearMul", domain=_MS)
def q_linear_mul(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    a, sa, za, b, sb, zb, sy, *zy = node.inputs
    d = _inside(g, node.outputs[0], dy, sy, zy[0] if zy else None)
    da, db = g.Mul(d, _real(g, b, sb, zb, dy.dtype)), g.Mul(d, _real(g, a, sa, za, dy.dtype))
    return _back(g, da, sa, a), None, None, _back(g, db, sb, b), *[None] * (2 + len(zy))


@vjp("QLinearSigmoid", "QLinearLeakyRelu", domain=_MS)
def q_linear_activation(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    x, sx, zx, sy, zy = (*node.inputs, None)[:5]
    d, real = _inside(g, node.outputs[0], dy, sy, zy), _real(g, x, sx, zx, dy.dtype)
    if node.op_type == "QLinearSigmoid":
        s = g.Sigmoid(real)
        slope = g.Mul(d, g.Mul(s, g.Sub(1, s)))
    else:
        slope = g.Where(g.Greater(real, 0), d, g.Mul(d, node.attributes.get_float("alpha", 0.01)))
    return _back(g, slope, sx, x), *[None] * (len(node.inputs) - 1)


@vjp("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearSoftmax", domain=_MS)
def q_linear_pool(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    if node.attributes.get_int("channels_last", 0):
        raise ValueError("channels_last=1 has no rule; export with channels first")
    x, sx, zx, sy, zy = (*node.inputs, None)[:5]
    real, y = _real(g, x, sx, zx, dy.dtype), _real(g, node.outputs[0], sy, zy, dy.dtype)
    rules = {"QLinearAveragePool": average_pool, "QLinearGlobalAveragePool": global_average_pool}
    rule = as_rule(rules.get(node.op_type, softmax))
    (dx, *_) = rule(g, _node(node, [real], [y]), _inside(g, node.outputs[0], dy, sy, zy))
    return _back(g, dx, sx, x), *[None] * (len(node.inputs) - 1)


@vjp("QLinearConcat", domain=_MS)
def q_linear_concat(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    sy, zy, *parts = node.inputs
    d, axis, xs = _inside(g, node.outputs[0], dy, sy, zy), node.attributes.get_int("axis", 0), parts[::3]
    cuts = g.Split(d, g.vector([g.dim(x, axis) for x in xs]), axis=axis, outputs=len(xs)) if len(xs) > 1 else [d]
    found = [_back(g, cut, scale, x) for cut, x, scale in zip(cuts, xs, parts[1::3], strict=True)]
    return None, None, *(entry for d_part in found for entry in (d_part, None, None))
