"""A Softmax along the last axis in its nodes, as jax2tf and hand-written exports have it."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["logits_of_quotient"]

_LAID = frozenset({"Expand", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_MADE_LARGE = _LAID | {"Max", "ReduceMax"}  # Max with -inf keeps a maximum that is none


def logits_of_quotient(node: ir.Node) -> ir.Value | None:
    """The z of Exp(z) / ReduceSum(Exp(z)), also where its maximum was subtracted; None of other nodes."""
    if node.op_type != "Div" or node.domain != "" or node.inputs[0] is None or node.inputs[1] is None:
        return None
    exp, total = node.inputs[0].producer(), _back(node.inputs[1], frozenset({"Expand", "Identity"}))
    if exp is None or exp.op_type != "Exp" or not _is_column(total, node.outputs[0]):
        return None
    summed = _back(total, _LAID).producer()
    if summed is None or not _sums_last_axis(summed, node.inputs[0]):
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


def _sums_last_axis(node: ir.Node, terms: ir.Value) -> bool:
    if node.op_type != "ReduceSum" or node.domain != "" or node.inputs[0] is not terms or terms.shape is None:
        return False
    held = ir.convenience.get_const_tensor(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    axes = held.numpy().tolist() if held is not None else list(node.attributes.get_ints("axes", ()))
    return axes in ([-1], [len(terms.shape) - 1])


def _without_maximum(value: ir.Value | None) -> ir.Value | None:
    """z of z - max(z), which has no gradient at its largest element; the value itself of others."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Sub" or node.inputs[0] is None or node.inputs[1] is None:
        return value
    z, largest = node.inputs[0], node.inputs[1]
    while (made := largest.producer()) is not None and made.op_type in _MADE_LARGE:
        found = next((one for one in made.inputs if one is not None and not _is_constant(one)), None)
        if found is None:
            break
        if found is z and made.op_type == "ReduceMax":
            return z
        largest = found
    return value


def _is_constant(value: ir.Value) -> bool:
    return ir.convenience.get_const_tensor(value) is not None
