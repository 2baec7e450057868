"""Operators whose derivative is zero or undefined everywhere, and Range, which counts in floats too."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, no_gradient, vjp
from .scatter import element_numbers

# The value does not depend on what is in the inputs, or there is none.
no_gradient("BlackmanWindow", "Constant", "ConstantOfShape", "EyeLike", "HammingWindow", "HannWindow")
no_gradient("MelWeightMatrix", "OptionalHasElement", "SequenceEmpty", "SequenceLength", "Shape", "Size")

# Indices and truth values.
no_gradient("And", "ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual")
no_gradient("NonMaxSuppression", "NonZero", "Not", "Or", "RegexFullMatch", "Xor")

# Steps: flat wherever they are smooth.
no_gradient("Ceil", "Floor", "Hardmax", "Round", "Sign")

# Random draws.
no_gradient("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")

# Integers, texts and files.
no_gradient("BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor")
no_gradient("ImageDecoder", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer")

# com.microsoft: tokens that are drawn or searched for, hashes, counts.
no_gradient("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch", domain="com.microsoft")
no_gradient("BifurcationDetector", "DynamicTimeWarping", "IsAllFinite", "MurmurHash3", domain="com.microsoft")
no_gradient("NGramHashMapping", "Tokenizer", domain="com.microsoft")


@vjp("Range")
def range_(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """y[k] = start + k delta; the limit only tells how many there are."""
    start, _, delta = node.inputs
    steps = g.Cast(element_numbers(g, dy), to=dy.dtype)
    total, weighted = (g.ReduceSum(v, keepdims=0) for v in (dy, g.Mul(dy, steps)))
    return g.reshape_like(total, start), None, g.reshape_like(weighted, delta)
