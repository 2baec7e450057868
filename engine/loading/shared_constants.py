"""Replaces Identity(constant) with the constant, so that rules see through exporters' way of sharing weights."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["share_constants"]


def share_constants(program: ir.Model) -> bool:
    """Works in place; true where there was one. Graph outputs stay as they are."""
    copies = [node for node in program.graph if node.op_type == "Identity" and _is_constant(node.inputs[0])]
    shared = [node for node in copies if not node.outputs[0].is_graph_output()]
    for node in shared:
        source = node.inputs[0]
        if source is not None:
            node.outputs[0].replace_all_uses_with(source)
    program.graph.remove(shared, safe=True)
    return bool(shared)


def _is_constant(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer() and not value.is_graph_input()
