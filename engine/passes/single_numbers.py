"""Operands that the standard wants to be one number, which onnxruntime reads without looking: it would crash on none.

The trip count of a Loop, the condition that a Loop's body returns, and the position of the Sequence operators. An
operand known to hold another count of numbers is refused; one that is not known is reshaped to (), which onnxruntime
refuses by itself where it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ..errors import ModelError

__all__ = ["refuse_several_numbers"]

_PLACES = {"Loop": (0, 1), "SequenceAt": (1,), "SequenceErase": (1,), "SequenceInsert": (2,)}


def refuse_several_numbers(program: ir.Model, where: str) -> None:
    """Refuses an operand that holds several numbers or none; reshapes one that is not known, in place."""
    for node in list(program.graph.all_nodes()):
        if node.domain == "" and node.op_type in _PLACES:
            for place in _PLACES[node.op_type]:
                value = node.inputs[place] if place < len(node.inputs) else None
                if value is not None and not _known(value, node, where):
                    node.replace_input_with(place, _reshaped(value, node))
        for body in _bodies(node):
            condition = body.outputs[0]
            if not _known(condition, node, where):
                body.outputs[0] = _reshaped(condition, body[-1], after=True)


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    if node.domain == "" and node.op_type == "Loop" and "body" in node.attributes:
        body = node.attributes["body"].as_graph()
        if body.outputs and len(body):
            yield body


def _known(value: ir.Value, node: ir.Node, where: str) -> bool:
    """Whether the value is known to hold one number; ModelError where it is known not to."""
    sizes = None if value.shape is None else list(value.shape)
    if sizes is None or not all(isinstance(size, int) for size in sizes):
        return False
    if int(np.prod(sizes)) != 1:  # type: ignore[arg-type]
        raise ModelError(
            f"{where}: {node.op_type} (node {node.name!r}) takes one number from {value.name!r}, whose shape is {sizes}"
        )
    return True


def _reshaped(value: ir.Value, at: ir.Node, after: bool = False) -> ir.Value:
    """The value as a scalar, made before a node, or after it."""
    shape = ir.node("Constant", [], {"value": ir.tensor(np.array([], np.int64))})
    made = ir.node("Reshape", [value, shape.outputs[0]])
    for node, name in ((shape, "shape"), (made, "scalar")):  # of one name for each place that reads the value
        node.outputs[0].name = f"{value.name}/{at.outputs[0].name}/{name}"
    made.outputs[0].type, made.outputs[0].shape = value.type, ir.Shape([])
    graph = at.graph
    if graph is not None:
        (graph.insert_after if after else graph.insert_before)(at, [shape, made])
    return made.outputs[0]
