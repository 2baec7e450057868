"""Replaces a sequence that a Loop does nothing but append to by the tensor that the Loop stacks of what it appends.

That is how exporters write a list that grows in a loop. Behind the loop the tensor is split into a sequence again,
which decompose_sequences resolves. A stack holds tensors of one shape only; onnxruntime
reports an error where the shapes differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder

__all__ = ["stack_appended"]


def stack_appended(program: ir.Model, nodes: Iterable[ir.Node]) -> bool:
    """Works in place; true where there was such a sequence."""
    found = [(node, k) for node in nodes if _op(node) == "Loop" and (k := _appended(node)) is not None]
    for node, k in found:
        _stack(GraphBuilder(program.graph, prefix=node.name or "Loop"), node, k)
    return bool(found)


def _appended(loop: ir.Node) -> int | None:
    """The first state that is an empty sequence before the loop, and that each step only appends to."""
    body = loop.attributes["body"].as_graph()
    states = zip(loop.inputs[2:], body.inputs[2:], body.outputs[1:], strict=False)
    return next((k for k, state in enumerate(states) if _grows(*state)), None)


def _grows(start: ir.Value | None, old: ir.Value, new: ir.Value) -> bool:
    insert = new.producer()
    if start is None or insert is None or (_op(start.producer()), _op(insert)) != ("SequenceEmpty", "SequenceInsert"):
        return False
    at_the_end = len(insert.inputs) == 2 or insert.inputs[2] is None
    return at_the_end and insert.inputs[0] is old and len(old.uses()) == 1


def _op(node: ir.Node | None) -> str:
    return node.op_type if node is not None and node.domain == "" else ""


def _stack(g: GraphBuilder, loop: ir.Node, k: int) -> None:
    """Takes the state out, and the tensor that was put in it as a further output of every step."""
    graph: Any = loop.graph
    body = loop.attributes["body"].as_graph()
    insert: Any = body.outputs[1 + k].producer()
    piece = insert.inputs[1]
    g.nested(body).output(piece, f"{g.prefix}/piece")
    del body.outputs[1 + k], body.inputs[2 + k]
    body.remove(insert, safe=True)
    inputs = [x for n, x in enumerate(loop.inputs) if n != 2 + k]
    again = ir.node("Loop", inputs, {"body": body}, num_outputs=len(loop.outputs), name=loop.name)
    stack = again.outputs[-1]
    stack.name, stack.type = g.fresh(f"{g.prefix}/stack"), piece.type
    stack.shape = None if piece.shape is None else ir.Shape([None, *piece.shape])
    split = ir.node("SplitToSequence", [stack], {"axis": 0, "keepdims": 0}, name=g.fresh(f"{g.prefix}/split"))
    made = [*again.outputs[:-1]]
    made.insert(k, split.outputs[0])
    ir.convenience.replace_nodes_and_values(graph, loop, [loop], [again, split], list(loop.outputs), made)
