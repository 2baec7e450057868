"""Replaces a model of a new opset by the same model at an older one, where every operator means the same there."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

from ...errors import ModelError
from ...passes.expand import expand_nodes

__all__ = ["downgrade"]


def downgrade(program: ir.Model, opset: int) -> bool:
    """Works in place; operators that came later give way to their function bodies.

    Raises ModelError for the first node that uses what the older opset lacks: an attribute, an input or a type.
    """
    if program.graph.opset_imports[""] <= opset:
        return False
    while expand_nodes(program, [node for node in program.graph if _lacks(node, program, opset)]):
        pass
    for node in program.graph.all_nodes():
        if node.domain == "" and (reason := _lacks(node, program, opset)):
            raise ModelError(f"{node.op_type} {node.name!r} is of opset {program.graph.opset_imports['']}: {reason}")
    program.graph.opset_imports[""] = opset
    return True


def _lacks(node: ir.Node, program: ir.Model, opset: int) -> str:
    """The feature of a node that the older opset lacks; empty if the node means the same in both opsets."""
    if node.domain != "":
        return ""
    now = onnx.defs.get_schema(node.op_type, program.graph.opset_imports[""], "")
    try:
        then = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return f"opset {opset} has no such operator"
    return "" if now.since_version == then.since_version else _difference(node, now, then)


def _difference(node: ir.Node, now: Any, then: Any) -> str:
    older = f"opset {then.since_version}"
    if added := [name for name in node.attributes if name not in then.attributes]:
        return f"{older} has no attribute {added[0]!r}"
    if changed := [name for name in then.attributes if _default(then, name) != _default(now, name)]:
        return f"{older} has another default of {changed[0]!r}"
    if len(node.inputs) > then.max_input or len(node.outputs) > then.max_output:
        return f"{older} takes fewer inputs or gives fewer outputs"
    return next((f"{older} takes no {kind}" for k, x in enumerate(node.inputs) if (kind := _untaken(x, then, k))), "")


def _default(schema: Any, name: str) -> bytes:
    attribute = schema.attributes.get(name)
    return attribute.default_value.SerializeToString() if attribute is not None else b""


def _untaken(value: ir.Value | None, schema: Any, k: int) -> str:
    """The type of a value where the operator's input does not take it."""
    if value is None or value.dtype is None:
        return ""
    kind = f"tensor({value.dtype.name.lower()})"
    return "" if kind in schema.inputs[min(k, len(schema.inputs) - 1)].types else kind
