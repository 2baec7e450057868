"""Values that are known to be never negative: rules of LRP by sign take one product for them in the place of two."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.moving_operators import PASSING
from ..graph.shapes import constant_of

__all__ = ["never_negative"]

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
