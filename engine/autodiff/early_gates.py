"""Relu in front of a maximum over windows: its gate on the maxima, of which there are fewer than elements."""

from __future__ import annotations

from collections.abc import Iterator, Set
from functools import partial

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .ops.activation import where_positive
from .registry import Gradients, Rule, RuleFunction, Unsettled, as_rule, rule_for

__all__ = ["early_gates"]


def early_gates(path: Set[ir.Node], plain: Set[ir.Node], kept: Set[ir.Value]) -> Iterator[tuple[ir.Node, Rule]]:
    """Rules for each MaxPool of a Relu that gets a gradient from nothing else, and for the Relu, which lets all pass.

    A window's gradient goes to an element that is its maximum, so that both or neither are above 0. Both nodes are
    ``plain``, those on the ``path`` that have the registry's rules; the Relu's value, whose gradient is not gated yet,
    is not ``kept``.
    """
    for pool in plain:
        relu = pool.inputs[0].producer() if _is(pool, "MaxPool") and pool.inputs[0] is not None else None
        if relu is None or not _is(relu, "Relu") or relu not in plain or relu.outputs[0] in kept:
            continue
        others = [node for node, _ in relu.outputs[0].uses() if node is not pool]
        rule = rule_for(pool)
        if rule is not None and all(node.graph is relu.graph and node not in path for node in others):
            yield pool, as_rule(partial(_gated, rule.function))
            yield relu, as_rule(_passed)


def _gated(rule: RuleFunction, g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Unsettled:
    return rule(g, node, where_positive(g, node.outputs[0], dy))


def _passed(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
    return dy


def _is(node: ir.Node, op: str) -> bool:
    return node.domain == "" and node.op_type == op
