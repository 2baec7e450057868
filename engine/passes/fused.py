"""Replaces the fused operators of com.microsoft, which onnxruntime's optimiser writes, by those they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import channels_first, channels_last, decomposes, padded_inputs


@decomposes("Gelu", "BiasGelu")
def _gelu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, bias = padded_inputs(node, 2)
    return [_erf_gelu(g, x if bias is None else g.Add(x, bias))]


def _erf_gelu(g: GraphBuilder, x: ir.Value) -> ir.Value:
    return g.Mul(x, g.Mul(0.5, g.Add(1, g.Erf(g.Mul(x, math.sqrt(0.5))))))


@decomposes("FastGelu", "GemmFastGelu")
def _fast_gelu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, *rest = node.inputs
    if node.op_type == "GemmFastGelu":
        x = g.MatMul(x, rest.pop(0))
    x = g.Add(x, rest[0]) if rest and rest[0] is not None else x
    inner = g.Mul(math.sqrt(2 / math.pi), g.Mul(x, g.Add(1, g.Mul(0.044715, g.Mul(x, x)))))
    return [g.Mul(x, g.Mul(0.5, g.Add(1, g.Tanh(inner))))]


@decomposes("QuickGelu")
def _quick_gelu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    (x,) = node.inputs
    return [g.Mul(x, g.Sigmoid(g.Mul(node.attributes.get_float("alpha", 1.702), x)))]


@decomposes("ScaledSiLU")
def _scaled_silu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, scale = padded_inputs(node, 2)
    z = g.Mul(x, node.attributes.get_float("alpha", 1.0) if scale is None else g.CastLike(scale, x))
    return [g.Mul(z, g.Sigmoid(z))]


@decomposes("BiasSplitGelu")
def _bias_split_gelu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """The left half of the sum times the Gelu of the right one."""
    left, right = g.Split(g.Add(*node.inputs), axis=-1, num_outputs=2, outputs=2)
    return [g.Mul(left, _erf_gelu(g, right))]


@decomposes("BiasAdd")
def _bias_add(g: GraphBuilder, node: Any) -> list[ir.Value]:
    return [g.Add(*node.inputs)]


@decomposes("GatedAdd")
def _gated_add(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, y, gate = node.inputs
    return [g.Add(x, g.Mul(y, gate))]


@decomposes("BiasDropout")
def _bias_dropout(g: GraphBuilder, node: Any) -> list[ir.Value | None]:
    """As it works outside of training, where it drops nothing."""
    x, bias, residual, _, training = padded_inputs(node, 5)
    if training is not None:
        raise ValueError("a BiasDropout that may be training has no rule")
    total = g.Add(x, bias)
    return [total if residual is None else g.Add(total, residual), None]


@decomposes("BiasSoftmax")
def _bias_softmax(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Over all axes from one on; the bias repeats along those before it, or along those between."""
    x, bias = node.inputs
    axis, rank = node.attributes.get_int("axis", 1), g.rank(x)
    if axis % rank != rank - 1:
        raise ValueError("a BiasSoftmax over several axes has no rule")
    if node.attributes.get_int("is_inner_broadcast", 1) and g.rank(bias) != rank:
        raise ValueError("a BiasSoftmax whose bias repeats along inner axes must have as many axes as its input")
    return [g.Softmax(g.Add(x, bias), axis=-1)]


@decomposes("FusedMatMul", "TransposeMatMul")
def _fused_matmul(g: GraphBuilder, node: Any) -> list[ir.Value]:
    a, b = (_turned(g, x, node, k) for x, k in zip(node.inputs, "AB", strict=True))
    alpha = node.attributes.get_float("alpha", 1.0)
    return [g.MatMul(a, b) if alpha == 1 else g.Mul(alpha, g.MatMul(a, b))]


def _turned(g: GraphBuilder, x: ir.Value, node: Any, side: str) -> ir.Value:
    """An operand with its first axis moved behind the other batches, then its last two exchanged, as is said."""
    if node.attributes.get_int(f"transBatch{side}", 0):
        rank = g.rank(x)
        x = g.Transpose(x, perm=[*range(1, rank - 1), 0, rank - 1])
    return g.swap_last(x) if node.attributes.get_int(f"trans{side}", 0) else x


@decomposes("FusedGemm")
def _fused_gemm(g: GraphBuilder, node: Any) -> list[ir.Value]:
    attributes = node.attributes
    numbers = {name: attributes.get_float(name, 1.0) for name in ("alpha", "beta")}
    turns = {name: attributes.get_int(name, 0) for name in ("transA", "transB")}
    y = g.Gemm(*node.inputs, **numbers, **turns)
    names = [name for name in ("activation_alpha", "activation_beta", "activation_gamma") if name in attributes]
    return [_activated(g, y, attributes.get_string("activation", ""), [attributes.get_float(name) for name in names])]


@decomposes("FusedConv", "NhwcFusedConv", "NhwcConv")
def _fused_conv(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """NhwcConv has its channels last in the weights, too."""
    x, w, bias, other = padded_inputs(node, 4)
    last = node.op_type != "FusedConv"
    x, w = channels_first(g, x) if last else x, channels_first(g, w) if node.op_type == "NhwcConv" else w
    y = g.Conv(x, w, bias, **{**node.attributes, "activation": None, "activation_params": None})
    y = channels_last(g, y) if last else y
    y = y if other is None else g.Add(y, other)
    name, numbers = node.attributes.get_string("activation", ""), node.attributes.get_floats("activation_params", ())
    return [_activated(g, y, name, numbers)]


@decomposes("NhwcMaxPool")
def _nhwc_max_pool(g: GraphBuilder, node: Any) -> list[ir.Value]:
    return [channels_last(g, g.MaxPool(channels_first(g, node.inputs[0]), **node.attributes))]


def _activated(g: GraphBuilder, x: ir.Value, name: str, numbers: Sequence[float]) -> ir.Value:
    """An activation by name; its numbers are those of its attributes in their order, or the ends of a Clip."""
    if not name:
        return x
    if name == "Clip":
        return g.Clip(x, *numbers)
    if not onnx.defs.has(name, g.opset):
        raise ValueError(f"no activation {name!r} in the standard")
    names = {"LeakyRelu": ("alpha",), "Elu": ("alpha",), "HardSigmoid": ("alpha", "beta")}.get(name, ())
    return getattr(g, name)(x, **dict(zip(names, numbers, strict=False)))


@decomposes("ExpandDims")
def _expand_dims(g: GraphBuilder, node: Any) -> list[ir.Value]:
    x, axis = node.inputs
    return [g.Unsqueeze(x, g.Reshape(g.Cast(axis, to=ir.DataType.INT64), [1]))]


@decomposes("GatherND", "Pad", "Trilu")
def _as_in_the_standard(g: GraphBuilder, node: Any) -> list[ir.Value]:
    return [getattr(g, node.op_type)(*node.inputs, **node.attributes)]


@decomposes("GridSample")
def _grid_sample(g: GraphBuilder, node: Any) -> list[ir.Value]:
    mode = node.attributes.get_string("mode", "bilinear")
    return [
        g.GridSample(
            *node.inputs,
            mode=mode.removeprefix("bi") if g.opset >= 20 else mode,
            padding_mode=node.attributes.get_string("padding_mode", "zeros"),
            align_corners=node.attributes.get_int("align_corners", 0),
        )
    ]


@decomposes("CDist")
def _distances(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Between every row of one matrix and every row of another, squared or not."""
    a, b = node.inputs
    apart = g.Sub(g.Unsqueeze(a, [1]), b)
    squares = g.ReduceSum(g.Mul(apart, apart), [2], keepdims=0)
    return [squares if node.attributes.get_string("metric", "sqeuclidean") == "sqeuclidean" else g.Sqrt(squares)]


def _for_one_processor(g: GraphBuilder, node: Any) -> list[ir.Value]:
    raise ValueError(
        "onnxruntime laid the file out for one kind of processor; "
        "explain the file from before, or optimise it with ORT_ENABLE_EXTENDED"
    )


_BLOCKED = ("AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReorderInput", "ReorderOutput")
decomposes(*_BLOCKED, "Upsample", domain="com.microsoft.nchwc")(_for_one_processor)
