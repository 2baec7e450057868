"""Replaces a Softmax between Flatten and Reshape, as the upgrade from opset 12 writes it, by one along its only axis.

That is what it was: until opset 12 a Softmax took everything from its axis on, where mostly one axis is longer than 1.
The longer form computes the same, but in half precision a runtime rounds at each of its nodes.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.shapes import static_shape

__all__ = ["normalise_softmax_axis"]


def normalise_softmax_axis(program: ir.Model) -> bool:
    """Works in place; true where there was one."""
    found = [node for node in program.graph if (axis := _axis(node)) is not None and _shorten(node, axis)]
    return bool(found)


def _axis(node: ir.Node) -> int | None:
    """The only axis that a Softmax or LogSoftmax between Flatten and Reshape runs along."""
    x = node.inputs[0] if node.op_type in ("Softmax", "LogSoftmax") and node.domain == "" else None
    flatten, reshape = x and x.producer(), _only_reader(node)
    if flatten is None or flatten.op_type != "Flatten" or reshape is None or flatten.inputs[0] is None:
        return None
    before, after = static_shape(flatten.inputs[0]), static_shape(reshape.outputs[0])
    start = flatten.attributes.get_int("axis", 1)
    if before is None or before != after or start < 0 or node.attributes.get_int("axis", -1) not in (-1, 1):
        return None
    longer = [axis for axis in range(start, len(before)) if before[axis] != 1]
    return (longer or [start])[0] if len(longer) < 2 else None


def _only_reader(node: ir.Node) -> ir.Node | None:
    uses = list(node.outputs[0].uses())
    alone = len(uses) == 1 and not node.outputs[0].is_graph_output() and uses[0].node.op_type == "Reshape"
    return uses[0].node if alone and uses[0].idx == 0 else None


def _shorten(node: ir.Node, axis: int) -> bool:
    flatten, reshape = node.inputs[0] and node.inputs[0].producer(), _only_reader(node)
    if flatten is None or reshape is None or flatten.inputs[0] is None or reshape.graph is None:
        return False
    shape = reshape.inputs[1] and reshape.inputs[1].producer()
    reshape.replace_input_with(1, None)
    x, old, result = flatten.inputs[0], reshape.outputs[0], node.outputs[0]
    node.replace_input_with(0, x)
    node.attributes.add(ir.AttrInt64("axis", axis))
    result.shape, result.type = old.shape, old.type
    ir.convenience.replace_all_uses_with(old, result, replace_graph_outputs=True)
    unused = [reshape, *(n for n in (flatten, shape) if n is not None and not any(y.uses() for y in n.outputs))]
    reshape.graph.remove([n for n in unused if not n.outputs[0].is_graph_output()], safe=True)
    result.name = old.name
    return True
