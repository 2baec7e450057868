"""Signs of values: which are known to be never negative, and choices by sign in the form that is fast on the runtime.

Rules of LRP by sign take one product for a value that is never negative in the place of two.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.moving_operators import PASSING
from ..graph.shapes import constant_of

__all__ = [
    "STEEP", "kept_where", "negative_part", "never_negative", "on_one_side", "positive_part", "takes_steps",
    "where_negative",
]  # fmt: skip

STEEP = 2.0**120  # times any float32 above 1e-36 it is at least 1, and times 64 it is still finite

_POSITIVE = frozenset({"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt"})
_KEEP_THE_FIRST = PASSING | {
    *("AveragePool", "DepthToSpace", "Expand", "Gather", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceSum", "Slice", "SpaceToDepth", "Split"),
}
_KEEP_ALL = frozenset({"Add", "Concat", "Max", "Mean", "Min", "Mul", "Sum"})


def never_negative(value: ir.Value) -> bool:
    """Whether every element is 0 or more, whatever the model's inputs are."""
    met, waiting = set[ir.Value](), [value]
    while waiting:
        value = waiting.pop()
        if value in met:
            continue
        met.add(value)
        node = value.producer()
        if node is None:
            held = constant_of(value)
            if held is None or held.dtype.kind not in "fiub" or bool((held < 0).any()):
                return False
        elif node.domain == "" and node.op_type in _KEEP_THE_FIRST | _KEEP_ALL:
            waiting += [x for x in node.inputs[: None if node.op_type in _KEEP_ALL else 1] if x is not None]
        elif node.domain != "" or not _is_positive(node):
            return False
    return True


def _is_positive(node: ir.Node) -> bool:
    if node.op_type != "Clip":
        return node.op_type in _POSITIVE
    low = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    return low is not None and bool((low >= 0).all())


def on_one_side(g: GraphBuilder, x: ir.Value, value: ir.Value, sign: int) -> ir.Value:
    """The value where x has the sign, 1 or -1, else 0."""
    if takes_steps(g, x):
        return g.Mul(value, g.HardSigmoid(x, alpha=sign * STEEP, beta=0.0))
    return kept_where(g, g.Greater(x, 0) if sign > 0 else g.Less(x, 0), value)


def kept_where(g: GraphBuilder, mask: ir.Value, value: ir.Value) -> ir.Value:
    """The value where the mask holds, else 0.

    Of images in files a product, as onnxruntime's Where is slow there (``takes_steps``), and OpenVINO 2026.4 takes a
    HardSigmoid's beta of 0 for the default, 0.5; elsewhere Where, which hides an infinite value.
    """
    image = g.lowering == "portable" and value.dtype == ir.DataType.FLOAT and len(value.shape or ()) == 4
    return g.Mul(value, g.Cast(mask, to=ir.DataType.FLOAT)) if image else g.Where(mask, value, 0)


def where_negative(g: GraphBuilder, x: ir.Value, below: ir.Value, otherwise: ir.Value) -> ir.Value:
    """One value where x < 0, the other elsewhere; both are finite."""
    if takes_steps(g, x):
        is_below = g.HardSigmoid(x, alpha=-STEEP, beta=0.0)
        return g.Add(g.Mul(below, is_below), g.Mul(otherwise, g.HardSigmoid(x, alpha=STEEP, beta=1.0)))
    return g.Where(g.Less(x, 0), below, otherwise)


def positive_part(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """max(x, 0)."""
    return g.Relu(x) if takes_steps(g, x) else g.Max(x, 0)


def negative_part(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """min(x, 0)."""
    return g.Mul(x, g.HardSigmoid(x, alpha=-STEEP, beta=0.0)) if takes_steps(g, x) else g.Min(x, 0)


def takes_steps(g: GraphBuilder, x: ir.Value) -> bool:
    """Whether a choice by sign is a product with steps of 0 and 1, which are steep HardSigmoids.

    Unlike Where, Max and Min they stay in the blocked layout of onnxruntime's CPU, and Where of values whose signs
    change from element to element is ten times as slow.
    """
    return g.lowering == "cpu" and x.dtype == ir.DataType.FLOAT
