"""The whole models that the mutants are made of: small, each with other parts of the format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import onnx
from by_hand import CONV, DENSE, model, normal
from onnxray import models

__all__ = ["seeds", "suite_seeds"]

LIMIT = 20_000  # bytes of a case of the suite; larger ones are larger in their weights alone

FUNCTIONS = """<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
net (float[N, 4] x) => (float[N, 4] y) { h = own.twice(x)  y = own.gated<alpha = 0.3>(h, x) }
<domain: "own", opset_import: ["" : 18, "own" : 1]> twice (a) => (b) { c = own.once(a)  b = own.once(c) }
<domain: "own", opset_import: ["" : 18]> once (a) => (b) { b = Softplus(a) }
<domain: "own", opset_import: ["" : 18]> gated <alpha> (a, b) => (c)
{ d = LeakyRelu<alpha: float = @alpha>(a)  c = Mul(d, b) }
"""
LOOP = """net (float[2, 3] x) => (float[2, 3] y) {
    m = Constant<value = int64 {3}>()
    c = Constant<value = bool {1}>()
    y = Loop<body = step (int64 i, bool go, float[2, 3] a) => (bool on, float[2, 3] b)
        { on = Identity(go)  s = Sin(a)  b = Add(s, x) }>(m, c, x) }"""
BRANCH = """net (float[2, 3] x) => (float[2, 3] y) {
    s = ReduceSum<keepdims = 0>(x)
    zero = Constant<value = float {0.0}>()
    c = Greater(s, zero)
    y = If<then_branch = yes () => (float[2, 3] p) { p = Exp(x) },
           else_branch = no () => (float[2, 3] q) { q = Tanh(x) }>(c)
}"""
SCAN = """net (float[2, 4, 3] x) => (float[2, 12] y) {
    t = Transpose<perm = [1, 0, 2]>(x)
    start = ReduceMean<keepdims = 0>(t, zero)
    end, u = Scan<num_scan_inputs = 1, body = step (float[2, 3] a, float[2, 3] b) => (float[2, 3] c, float[2, 3] d)
        { c = Add(a, b)  d = Tanh(c) }>(start, t)
    v = Transpose<perm = [1, 0, 2]>(u)
    y = Flatten(v) }"""
SEQUENCE = """net (float[2, 6] x) => (float[2, 3] y) {
    parts = SplitToSequence<axis = 1>(x, three)
    first = SequenceAt(parts, zero)
    rest = SequenceErase(parts, zero)
    joined = ConcatFromSequence<axis = 1>(rest)
    y = Mul(first, joined) }"""
MIXED = """net (float[2, 5] x) => (float[N, 2] y) {
    v, i = TopK<axis = 1>(x, k)
    g = Gather<axis = 1>(x, places)
    p = Pad<mode = "reflect">(g, pads)
    s = Slice(p, starts, ends, axes, steps)
    n = LayerNormalization<axis = -1>(s, scale)
    e = Einsum<equation = "ij,ij->ij">(n, n)
    w = Where(mask, e, v)
    r = Reshape(w, shape)
    c = Clip(r, low, high)
    y = Softmax<axis = 1>(c) }"""
QUANTISED = """net (float[2, 3] x) => (float[2, 4] y) {
    q = QuantizeLinear(x, xs, xz)
    d = DequantizeLinear(q, xs, xz)
    w = DequantizeLinear<axis = 1>(W, ws)
    y = MatMul(d, w) }"""
OLD = """net (float[1, 2, 4, 4] x) => (float[1, 3] y) {
    c = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, K)
    b = BatchNormalization<epsilon = 0.001>(c, one, two, two, one)
    m = MaxPool<kernel_shape = [2, 2]>(b)
    u = Upsample<mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]>(m)
    s = ReduceMean<axes = [2, 3], keepdims = 0>(u)
    y = Dropout(s) }"""
RECURRENT = """net (float[2, 3, 4] x) => (float[2, 15] y) {
    u = Transpose<perm = [1, 0, 2]>(x)
    h, l = GRU<hidden_size = 5, direction = "bidirectional", linear_before_reset = 1>(u, W, R)
    t = Transpose<perm = [2, 0, 1, 3]>(h)
    s = Slice(t, starts, ends)
    p = ReduceMean<keepdims = 1>(s, axes)
    r = Relu(p)
    y = Flatten(r) }"""


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def described() -> onnx.ModelProto:
    """A model with all the metadata that converters write."""
    proto = CONV.proto()
    notes = {
        "onnxray.layers": {"conv": {"tensor": "h", "layout": "NCHW"}, "head": {"tensor": "y"}},
        "onnxray.labels": ["cat", "dog", "owl", "eel"],
        "onnxray.preprocess": {"size": [6, 5], "layout": "NCHW", "mean": [0.5]},
        "onnxray.features": ["a", "b"],
    }
    for key, value in notes.items():
        proto.metadata_props.add(key=key, value=json.dumps(value))
    return proto


MADE: dict[str, Callable[[], onnx.ModelProto]] = {
    "dense": lambda: DENSE.proto("y = Softmax(z)"),
    "conv": CONV.proto,
    "described": described,
    "digits": lambda: onnx.load(str(models.path("digits.onnx"))),
    "breast cancer": lambda: onnx.load(str(models.path("breast_cancer.onnx"))),
    "functions": lambda: onnx.parser.parse_model(FUNCTIONS),
    "loop": lambda: model(LOOP),
    "branch": lambda: model(BRANCH),
    "scan": lambda: model(SCAN, {"zero": ints(0)}),
    "sequence": lambda: model(SEQUENCE, {"three": np.array(3), "zero": np.array(0)}),
    "mixed": lambda: model(
        MIXED,
        {
            "k": ints(2),
            "places": ints(4, 0, 1, -1),
            "pads": ints(0, 1, 0, 1),
            "starts": ints(1),
            "ends": ints(-3),
            "axes": ints(1),
            "steps": ints(1),
            "scale": normal(2),
            "mask": np.array([[True, False], [False, True]]),
            "shape": ints(-1, 2),
            "low": np.array(-1.0, np.float32),
            "high": np.array(2.0, np.float32),
        },
    ),
    "quantised": lambda: model(
        QUANTISED,
        {
            "xs": np.array(0.02, np.float32),
            "xz": np.array(3, np.uint8),
            "W": np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
            "ws": np.full(4, 0.1, np.float32),
        },
    ),
    "opset 8": lambda: model(OLD, {"K": normal(3, 2, 3, 3), "one": np.ones(3, "f"), "two": np.full(3, 2, "f")}, 8),
    "recurrent": lambda: model(
        RECURRENT,
        {"W": normal(2, 15, 4), "R": normal(2, 15, 5), "starts": ints(0), "ends": ints(2), "axes": ints(2)},
    ),
}


@cache
def seeds() -> tuple[onnx.ModelProto, ...]:
    """The models above, in their order."""
    return tuple(make() for make in MADE.values())


@cache
def suite_seeds() -> tuple[onnx.ModelProto, ...]:
    """The same and the small cases of the ONNX project's operator suite: half a minute."""
    return (*seeds(), *_small())


def _small() -> Iterator[onnx.ModelProto]:
    from suite import cases

    return (case.model for case in cases() if case.model.ByteSize() < LIMIT)
