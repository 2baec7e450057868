"""Replaces f(x) of half precision by Cast(f(Cast(x))) where only the new opset defines f by a function body.

onnxruntime's CPU has no kernel for such an f in half precision. At the old opset it computes f in float32 and passes
that on; at the new one it would expand the body, whose every node rounds, and the scores would not be the file's. What
only moves data between two nodes that it computes in float32 stays in float32, too.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.moving_operators import PASSING
from ..passes.cast_to_float32 import HALVES
from ..passes.rewrite import rewrite_nodes

__all__ = ["preserve_half_rounding"]

_MOVING = PASSING - {"Cast", "Identity"} | {"Concat"}  # what onnxruntime leaves in the type that it computes in


def preserve_half_rounding(program: ir.Model, before: int) -> bool:
    """Works in place; true where there was one. ``before`` is the opset that the model had."""
    now = program.graph.opset_imports[""]
    found = [node for node in program.graph if _is_new(node, before, now) or _is_between(node)]
    rounded: set[ir.Value] = set()
    return rewrite_nodes(program, found, lambda g, node: _in_float32(g, node, rounded))


def _is_new(node: ir.Node, before: int, now: int) -> bool:
    half = all(v is not None and v.dtype in HALVES for v in (*node.inputs, *node.outputs))
    if not half or node.domain or len(node.outputs) > 1 or not onnx.defs.has(node.op_type, before):
        return False
    return _has_body(node.op_type, now) and not _has_body(node.op_type, before)


def _is_between(node: ir.Node) -> bool:
    """Whether a node moves halves from what computes to what computes."""
    if node.domain or node.op_type not in _MOVING or node.outputs[0].dtype not in HALVES:
        return False
    before = [x.producer() for x in node.inputs if x is not None and x.dtype in HALVES]
    behind = [use.node for use in node.outputs[0].uses()]
    computed = all(n is not None and n.op_type not in _MOVING for n in (*before, *behind))
    return computed and bool(behind) and not node.outputs[0].is_graph_output()


def _has_body(op: str, opset: int) -> bool:
    schema: Any = onnx.defs.get_schema(op, opset, "")
    return bool(schema.has_function or schema.has_context_dependent_function)


def _in_float32(g: GraphBuilder, node: ir.Node, rounded: set[ir.Value]) -> list[ir.Value]:
    """``rounded`` are the results so far, whose readers among each other skip the rounding, as the old opset does."""
    wide = [_wide(g, x, rounded) if x is not None and x.dtype in HALVES else x for x in node.inputs]
    y = g.Cast(getattr(g, node.op_type)(*wide, **node.attributes), to=node.outputs[0].dtype)
    rounded.add(y)
    return [y]


def _wide(g: GraphBuilder, x: ir.Value, rounded: set[ir.Value]) -> ir.Value:
    node = x.producer() if x in rounded else None
    return node.inputs[0] if node is not None and node.inputs[0] is not None else g.Cast(x, to=ir.DataType.FLOAT)
