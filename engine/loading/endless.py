"""Loops that never end, or not within a lifetime: their count of steps is in the file and nothing else stops them.

A Loop whose body computes its condition, as every while loop does, is left alone whatever its trip count is.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ..errors import ModelError
from ..graph.shapes import constant_of
from ..graph.traversal import subgraphs

__all__ = ["MOST_STEPS", "check_loops"]

MOST_STEPS = 10_000_000  # of an empty body in onnxruntime: about a minute


def check_loops(program: ir.Model, where: str) -> None:
    """Raises ModelError for a Loop of more than MOST_STEPS steps, those of the Loops in its body included."""
    for node in program.graph.all_nodes():
        if (steps := _steps(node)) > MOST_STEPS and node.op_type == "Loop":
            many = "without end" if math.isinf(steps) else f"{steps:,.0f} times, more than {MOST_STEPS:,}"
            raise ModelError(f"{where}: Loop (node {node.name!r}) runs its body {many}")


def _steps(node: ir.Node) -> float:
    """How often the bodies of Loops are run for one run of the node, as far as the file tells."""
    inner = sum(_steps(below) for graph in subgraphs(node) for below in graph)
    trips = _trips(node) if node.domain == "" and node.op_type == "Loop" else None
    return inner if trips is None else trips * (1 + inner)


def _trips(node: ir.Node) -> float | None:
    """The steps of a Loop that its trip count alone ends, infinity without one; None where the run decides."""
    trips, condition = (*node.inputs, None, None)[:2]
    count, first = constant_of(trips), constant_of(condition)
    if not _always_on(node) or (trips is not None and count is None) or (condition is not None and first is None):
        return None
    if first is not None and not first.all():
        return 0.0
    return math.inf if count is None else max(0.0, float(count.reshape(-1)[0]))


def _always_on(node: ir.Node) -> bool:
    """Whether the body returns the condition that it was given, or true."""
    body = node.attributes["body"].as_graph() if "body" in node.attributes else None
    if body is None or len(body.inputs) < 2 or not body.outputs:
        return False
    condition = body.outputs[0]
    while (maker := condition.producer()) is not None and maker.op_type == "Identity" and maker.inputs[0] is not None:
        condition = maker.inputs[0]
    known = constant_of(condition)
    return condition is body.inputs[1] or (known is not None and bool(known.all()))
