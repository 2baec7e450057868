"""Replaces f(round(x)) by round(f(x)) where f keeps the order of numbers: equal results, but f sees what x was.

Max and Relu commute with rounding; applying them first avoids ties: after rounding, several elements of a window may
share the maximum, and a small positive number may be 0. A straight-through gradient takes the derivative of rounding as
1, so it is the gradient of f at x.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import static_shape
from .rewrite import rewrite_nodes

__all__ = ["commute_rounding"]

_KEEPING_ORDER = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "Relu", "Transpose"})


def commute_rounding(program: ir.Model, kept: Collection[ir.Value] = ()) -> bool:
    """Works in place; true where there was one. Scales are those of whole tensors; ``kept`` values keep their place."""
    steps = 0
    for node in list(program.graph):
        if node.inputs and node.inputs[0] not in kept and (found := _rounding(node)) is not None:
            quantise, dequantise = found
            steps += rewrite_nodes(program, [node], lambda g, node, q=quantise, d=dequantise: _swapped(g, node, q, d))
    return steps > 0


def _rounding(node: ir.Node) -> tuple[ir.Node, ir.Node | None] | None:
    """The QuantizeLinear, and the DequantizeLinear if there is one, that make what a node reads."""
    if node.domain or node.op_type not in _KEEPING_ORDER or node.inputs[0] is None or len(node.outputs) > 1:
        return None
    before = _uncast(node.inputs[0].producer())
    dequantise = before if before is not None and before.op_type == "DequantizeLinear" else None
    if dequantise is not None:
        before = _uncast(dequantise.inputs[0].producer()) if dequantise.inputs[0] is not None else None
    if before is None or before.op_type != "QuantizeLinear":
        return None
    pair = [before, dequantise] if dequantise is not None else [before]
    whole = all(v is None or static_shape(v) in ((), (1,)) for n in pair for v in n.inputs[1:])
    return (before, dequantise) if whole and _same_grid(pair) else None


def _uncast(node: ir.Node | None) -> ir.Node | None:
    """The input of a Cast that changes nothing."""
    while node is not None and node.op_type == "Cast" and (x := node.inputs[0]) is not None:
        if x.dtype != node.outputs[0].dtype:
            return node
        node = x.producer()
    return node


def _same_grid(pair: list[ir.Node]) -> bool:
    """Whether both ends agree on scale and zero point, so that 0 stays 0."""
    return all(node.inputs[1:] == pair[0].inputs[1:] for node in pair)


def _swapped(g: GraphBuilder, node: Any, quantise: Any, dequantise: Any) -> list[ir.Value]:
    x, *grid = quantise.inputs
    moved = g.QuantizeLinear(getattr(g, node.op_type)(x, *node.inputs[1:], **node.attributes), *grid)
    return [moved if dequantise is None else g.DequantizeLinear(moved, *grid)]
