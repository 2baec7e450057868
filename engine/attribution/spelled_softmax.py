"""A Softmax along the last axis in its nodes, as jax2tf and hand-written exports have it."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from ..graph.shapes import constant_of

__all__ = ["logits_of_quotient", "reduces_last_axis"]

_LAID = frozenset({"Expand", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_MADE_LARGE = _LAID | {"Max"}  # Max with -inf keeps a maximum that is none


def logits_of_quotient(node: ir.Node) -> ir.Value | None:
    """The z of Exp(z) / ReduceSum(Exp(z)), also where its maximum was subtracted; None of other nodes."""
    if node.op_type != "Div" or node.domain != "" or node.inputs[0] is None or node.inputs[1] is None:
        return None
    exp, total = node.inputs[0].producer(), _back(node.inputs[1], frozenset({"Expand", "Identity"}))
    if exp is None or exp.op_type != "Exp" or not _is_column(total, node.outputs[0]):
        return None
    summed = _back(total, _LAID).producer()
    if not reduces_last_axis(summed, ("ReduceSum",), node.inputs[0]):
        return None
    return _without_maximum(exp.inputs[0])


def _back(value: ir.Value, kinds: frozenset[str]) -> ir.Value:
    """The value that nodes of these kinds made this one of."""
    node = value.producer()
    while node is not None and node.domain == "" and node.op_type in kinds and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _is_column(total: ir.Value, scores: ir.Value) -> bool:
    """Whether there is one sum for each row of the scores."""
    known = total.shape is not None and scores.shape is not None and len(total.shape) == len(scores.shape)
    return known and total.shape is not None and total.shape[-1] == 1


def reduces_last_axis(node: ir.Node | None, kinds: Collection[str], of: ir.Value | None) -> bool:
    """Whether a node of one of these kinds reduces a value along its last axis alone."""
    if node is None or node.domain != "" or node.op_type not in kinds or of is None or node.inputs[0] is not of:
        return False
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    return axes is not None and axes.tolist() in ([-1], [len(of.shape or ()) - 1])


def _without_maximum(value: ir.Value | None) -> ir.Value | None:
    """z of z - max(z), which has no gradient at its largest element; the value itself of others."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Sub" or node.domain != "":
        return value
    z, subtracted = node.inputs
    maker = None if subtracted is None else subtracted.producer()
    while maker is not None and maker.op_type in _MADE_LARGE:
        found = next((x for x in maker.inputs if x is not None and constant_of(x) is None), None)
        maker = None if found is None else found.producer()
    return z if reduces_last_axis(maker, ("ReduceMax",), z) else value
