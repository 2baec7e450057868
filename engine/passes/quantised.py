"""Replaces operators on quantised tensors by the float operator between DequantizeLinear and QuantizeLinear.

That is what they are defined as (onnxruntime's ContribOperators.md; QLinearConv and QLinearMatMul: the ONNX standard),
so that one rule each for DequantizeLinear and QuantizeLinear serves them all.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import DECOMPOSITIONS, MICROSOFT, channels_first, channels_last, decomposes, padded_inputs

__all__ = ["QUANTISED"]


def _dequantised(g: GraphBuilder, x: Any, scale: Any, zero: Any, axis: int = 0) -> ir.Value:
    """``axis`` is that along which a vector of scales lies."""
    if len(scale.shape or ()) > 1:
        raise ValueError("scales of more than one axis have no rule")
    return g.DequantizeLinear(x, scale, zero, axis=axis)


def _quantised(g: GraphBuilder, node: Any, real: ir.Value, scale: Any, zero: Any) -> list[ir.Value]:
    kind = node.outputs[0].dtype or ir.DataType.UINT8
    return [g.QuantizeLinear(real, scale, g.constant(0, kind) if zero is None else zero)]


def _channels_moved(g: GraphBuilder, node: Any, x: ir.Value, *, first: bool) -> ir.Value:
    """Channels to the second axis, or back to the last, where the node has them last."""
    if not node.attributes.get_int("channels_last", 0):
        return x
    return channels_first(g, x) if first else channels_last(g, x)


# Products --------------------------------------------------------------------------------------------------------


@decomposes("QLinearConv", domain="")
@decomposes("QLinearConv")
def _conv(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, sx, zx, w, sw, zw, sy, zy, bias = padded_inputs(node, 9)
    real = _channels_moved(g, node, _dequantised(g, x, sx, zx), first=True)
    added = None if bias is None else _dequantised(g, bias, g.Mul(sx, sw), None)
    y = g.Conv(real, _dequantised(g, w, sw, zw), added, **{**node.attributes, "channels_last": None})
    return _quantised(g, node, _channels_moved(g, node, y, first=False), sy, zy)


@decomposes("QLinearMatMul", domain="")
def _matmul(g: GraphBuilder, node: Any) -> list[ir.Value]:
    a, sa, za, b, sb, zb, sy, zy = padded_inputs(node, 8)
    return _quantised(g, node, _product(g, a, sa, za, b, sb, zb), sy, zy)


@decomposes("MatMulIntegerToFloat")
def _matmul_to_float(g: GraphBuilder, node: Any) -> list[ir.Value]:
    a, b, sa, sb, za, zb, bias = padded_inputs(node, 7)
    return [_plus(g, _product(g, a, sa, za, b, sb, zb), bias)]


@decomposes("DynamicQuantizeMatMul")
def _dynamic_matmul(g: GraphBuilder, node: Any) -> list[ir.Value]:
    a, b, sb, zb, bias = padded_inputs(node, 5)
    q, scale, zero = g.DynamicQuantizeLinear(a, outputs=3)
    return [_plus(g, _product(g, q, scale, zero, b, sb, zb), bias)]


def _product(g: GraphBuilder, a: Any, sa: Any, za: Any, b: Any, sb: Any, zb: Any) -> ir.Value:
    """Scales may be one per row of a and one per column of b."""
    return g.MatMul(_dequantised(g, a, sa, za, axis=max(0, g.rank(a) - 2)), _dequantised(g, b, sb, zb, axis=-1))


def _plus(g: GraphBuilder, value: ir.Value, bias: Any) -> ir.Value:
    return value if bias is None else g.Add(value, bias)


@decomposes("QGemm")
def _gemm(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """C counts steps of alpha times the scales of A and B. Without a scale of Y the result is a float."""
    a, sa, za, b, sb, zb, c, sy, zy = padded_inputs(node, 9)
    alpha, columns = node.attributes.get_float("alpha", 1.0), 0 if node.attributes.get_int("transB", 0) else 1
    bias = None if c is None else g.Mul(g.Cast(c, to=sa.dtype), g.Mul(alpha, g.Mul(sa, sb)))
    y = g.Gemm(_dequantised(g, a, sa, za), _dequantised(g, b, sb, zb, axis=columns), bias, **node.attributes)
    return [y] if sy is None else _quantised(g, node, y, sy, zy)


@decomposes("MatMulNBits")
def _matmul_in_blocks(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Weights (N, blocks, bytes) of 2, 4 or 8 bits, the lowest first; by default zero lies in the middle."""
    a, packed, scales, zeros, order, bias = padded_inputs(node, 6)
    number = node.attributes.get_int
    bits, k, n, size = number("bits", 4), number("K"), number("N"), number("block_size")
    if order is not None or number("weight_prepacked", 0):
        raise ValueError("weights in an order of their own (g_idx, weight_prepacked) have no rule")
    blocks = -(-k // size)
    steps = g.Reshape(_unpacked(g, packed, bits), [n, blocks, size])
    shifted = g.Sub(g.Cast(steps, to=a.dtype), _zero_of_blocks(g, zeros, bits, n, blocks, a.dtype))
    weights = g.Reshape(g.Mul(shifted, g.Cast(g.Reshape(scales, [n, blocks, 1]), to=a.dtype)), [n, -1])
    return [_plus(g, g.MatMul(a, g.Transpose(g.Slice(weights, [0], [k], [1]), perm=[1, 0])), bias)]


def _unpacked(g: GraphBuilder, packed: ir.Value, bits: int) -> ir.Value:
    """The numbers in bytes, along a new last axis."""
    if bits not in (2, 4, 8):
        raise ValueError(f"weights of {bits} bits have no rule")
    shifts = [g.BitShift(packed, k, direction="RIGHT") if k else packed for k in range(0, 8, bits)]
    return g.Concat(*(g.Unsqueeze(g.BitwiseAnd(part, 2**bits - 1), [-1]) for part in shifts), axis=-1)


def _zero_of_blocks(g: GraphBuilder, zeros: Any, bits: int, n: int, blocks: int, dtype: Any) -> Any:
    if zeros is None:
        return float(2 ** (bits - 1))
    if zeros.dtype == ir.DataType.UINT8:
        zeros = g.Slice(g.Reshape(_unpacked(g, g.Reshape(zeros, [n, -1]), bits), [n, -1]), [0], [blocks], [1])
    return g.Cast(g.Reshape(zeros, [n, blocks, 1]), to=dtype)


# One operator on one tensor --------------------------------------------------------------------------------------


@decomposes("QLinearSigmoid", "QLinearLeakyRelu", "QLinearAveragePool", "QLinearGlobalAveragePool")
def _unary(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, sx, zx, sy, zy = padded_inputs(node, 5)
    real = _channels_moved(g, node, _dequantised(g, x, sx, zx), first=True)
    y = getattr(g, node.op_type.removeprefix("QLinear"))(real, **{**node.attributes, "channels_last": None})
    return _quantised(g, node, _channels_moved(g, node, y, first=False), sy, zy)


@decomposes("QLinearSoftmax")
def _softmax(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """As of the opset that it names: before 13, of everything from the axis on."""
    x, sx, zx, sy, zy = padded_inputs(node, 5)
    real, axis = _dequantised(g, x, sx, zx), node.attributes.get_int("axis", -1)
    if node.attributes.get_int("opset", 13) >= 13:
        return _quantised(g, node, g.Softmax(real, axis=axis), sy, zy)
    return _quantised(g, node, g.reshape_like(g.Softmax(g.Flatten(real, axis=axis), axis=-1), real), sy, zy)


# Several tensors -------------------------------------------------------------------------------------------------


@decomposes("QLinearAdd", "QLinearMul")
def _binary(g: GraphBuilder, node: Any) -> list[ir.Value]:
    a, sa, za, b, sb, zb, sy, zy = padded_inputs(node, 8)
    y = getattr(g, node.op_type.removeprefix("QLinear"))(_dequantised(g, a, sa, za), _dequantised(g, b, sb, zb))
    return _quantised(g, node, y, sy, zy)


@decomposes("QLinearConcat")
def _concat(g: GraphBuilder, node: Any) -> list[ir.Value]:
    sy, zy, *parts = node.inputs
    reals = [_dequantised(g, *parts[k : k + 3]) for k in range(0, len(parts), 3)]
    return _quantised(g, node, g.Concat(*reals, **node.attributes), sy, zy)


@decomposes("QLinearWhere")
def _where(g: GraphBuilder, node: Any) -> list[ir.Value]:
    condition, a, sa, za, b, sb, zb, sy, zy = padded_inputs(node, 9)
    return _quantised(g, node, g.Where(condition, _dequantised(g, a, sa, za), _dequantised(g, b, sb, zb)), sy, zy)


# Whole layers with quantised weights -----------------------------------------------------------------------------


@decomposes("DynamicQuantizeLSTM")
def _lstm(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """The weights are transposed and have one scale per direction, or one per direction and gate."""
    x, w, r, bias, lengths, h, c, peepholes, sw, zw, sr, zr = padded_inputs(node, 12)
    w, r = _turned_weights(g, w, sw, zw), _turned_weights(g, r, sr, zr)
    count = len(node.outputs)
    found = g.LSTM(x, w, r, bias, lengths, h, c, peepholes, outputs=count, **node.attributes)
    return [found] if count == 1 else list(found)


def _turned_weights(g: GraphBuilder, x: Any, scale: Any, zero: Any) -> ir.Value:
    wide = [g.Unsqueeze(v, [1] if g.rank(v) == 2 else [1, 2]) for v in (zero, scale) if v is not None]
    real = g.Cast(x, to=scale.dtype)
    shifted = real if zero is None else g.Sub(real, g.Cast(wide[0], to=scale.dtype))
    return g.Transpose(g.Mul(shifted, wide[-1]), perm=[0, 2, 1])


@decomposes("QAttention")
def _attention(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Attention of com.microsoft, which is decomposed in turn."""
    x, w, bias, sx, sw, mask, zx, zw, past = padded_inputs(node, 9)
    inputs = [_dequantised(g, x, sx, zx), _dequantised(g, w, sw, zw, axis=1), bias, mask, past]
    made = ir.node("Attention", inputs, node.attributes, domain=MICROSOFT, num_outputs=len(node.outputs))
    made.name = g.fresh(f"{g.prefix}/Attention")
    for k, (output, old) in enumerate(zip(made.outputs, node.outputs, strict=True)):
        output.name, output.type, output.shape = f"{made.name}:{k}", old.type, old.shape
    made.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    g.graph.append(made)
    return list(made.outputs)


QUANTISED = frozenset(key for key, rewrite in DECOMPOSITIONS.items() if rewrite.__module__ == __name__)
