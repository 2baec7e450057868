"""How far the score of the float32 shadow, of which the gradient is taken, lies from the shipped one.

A rounding error is uniform over one step, so its standard deviation is step / sqrt(12). A tensor with a range of eight
standard deviations that 8 bits cover has steps of 8/255 of its standard deviation: the error is 0.9 % of the signal. In
half precision a number has a relative error of at most 2**-11, 0.03 % in the root mean square; in bfloat16 0.23 %. The
errors of the tensors on the way to the score are independent and add up in quadrature. Rounding explains three times
that sum, in parts of the size of the scores; at least what two orders of summation in float32 differ by, which is all
that a model whose weights alone are quantised has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.traversal import ancestors
from ..passes.cast_to_float32 import HALVES
from ..passes.quantised import QUANTISED
from ..support.caller import warn_caller

__all__ = ["gap_record", "rounding_bound", "shadow_score_tensor", "warn_of_gap", "write_gap"]

INT8_ERROR = 8 / (255 * sqrt(12))
HALF_ERRORS = {ir.DataType.FLOAT16: 2**-11 / sqrt(3), ir.DataType.BFLOAT16: 2**-8 / sqrt(3)}
ROUNDING = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
DEVIATIONS = 3
FLOAT32 = 1e-4  # a MobileNet whose weights alone are quantised has 5e-7


def rounding_bound(y: ir.Value) -> float:
    """The gap that rounding explains: three standard deviations of what all tensors before y were rounded by."""
    values = list(ancestors([y]))
    makers = {node for value in values if (node := value.producer()) is not None}
    rounding = sum(node.op_type in ROUNDING or (node.domain, node.op_type) in QUANTISED for node in makers)
    halves = [HALF_ERRORS[v.dtype] for v in values if v.dtype and v.dtype in HALVES and v.producer() is not None]
    return max(FLOAT32, DEVIATIONS * sqrt(rounding * INT8_ERROR**2 + float(np.square(halves).sum())))


def shadow_score_tensor(y: ir.Value, shadow: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """The shadow's scores; of quantised ones the numbers that they are rounded from, as the rest is the model's own."""
    node = y.producer()
    if node is not None and node.op_type == "DequantizeLinear" and node.inputs[0] is not None:
        found = shadow(node.inputs[0])
        if found.dtype is not None and found.dtype.is_floating_point():
            return found
    return shadow(y)


def write_gap(
    g: GraphBuilder,
    flat: tuple[ir.Value, ir.Value],
    score: tuple[ir.Value, ir.Value],
    length: ir.Value | float,
    alone: bool,
) -> ir.Value:
    """How far the shadow is off in each row, in parts of the size of its scores: the larger of two numbers, (rows,).

    |shadow's score - score| by the root mean square of the scores, times the ``length`` of the weights that the score
    gives them; and the root mean square of the difference of all scores by that of the scores. The size of a score that
    is ``alone`` is at least 1, the unit of a logit. Each pair is the model's and the shadow's.
    """
    size = g.Max(_length(g, flat[0]), 1.0 if alone else 1e-30)
    whole = g.Div(_length(g, g.Sub(flat[1], flat[0])), size)
    size = size if length == 1.0 else g.Mul(size, length)
    return g.Max(whole, g.Div(g.Abs(g.Sub(score[1], score[0])), g.Max(size, g.Abs(score[0]))))


def _length(g: GraphBuilder, rows: ir.Value) -> ir.Value:
    return g.Sqrt(g.ReduceMean(g.Mul(rows, rows), [1], keepdims=0))


def gap_record(gaps: Sequence[float], bound: float) -> dict[str, float]:
    """The largest gap of a batch and what rounding explains of it, for the provenance; nothing without a shadow."""
    return {"gap": float(np.max(gaps)), "gap_bound": bound} if gaps else {}


def warn_of_gap(record: Mapping[str, Any]) -> None:
    """One line where the gap of a record is larger than its bound."""
    gap, bound = record.get("gap", 0.0), record.get("gap_bound", 0.0)
    if not gap <= bound:
        warn_caller(
            f"the gradient is of a float32 shadow whose score lies {gap:.1%} of the scores' size from the model's; "
            f"rounding explains {bound:.1%}, so the attribution may not be the model's: see docs/quantised.md"
        )
