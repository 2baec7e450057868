"""Which execution provider runs which node of a session: onnxruntime gives what a provider cannot run to the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from ..support.execution_providers import CPU

__all__ = ["Placement", "in_words", "left_to_cpu", "nodes_by_provider", "operators"]

Placement = Mapping[str, Counter[str]]
NAMED = 5  # operators that a line names
_SHAPES = (ir.DataType.INT32, ir.DataType.INT64)


def nodes_by_provider(native: Any) -> Placement | None:
    """By provider, how many nodes of each operator it runs, before onnxruntime fuses them; None from an onnxruntime
    that does not tell (before 1.24), and of the CPU alone."""
    if (assigned := _assigned(native)) is None:
        return None
    found: dict[str, Counter[str]] = {}
    for part in assigned:
        found.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    return found


def operators(graph: ir.Graph) -> Counter[str]:
    """How many nodes of each operator a graph has."""
    return Counter(node.op_type for node in graph)


def left_to_cpu(native: Any, graph: ir.Graph) -> tuple[Counter[str], int, int] | None:
    """The operators that the CPU runs, the number of nodes that it does not run, and that of all; None if not known.

    Nodes that give integers alone do not count: providers leave arithmetic on shapes to the CPU on purpose. Of nodes of
    one name, as those without any are, it is so where it is so of all of an operator.
    """
    if (assigned := _assigned(native)) is None:
        return None
    on_shapes = {_known_as(node) for node in graph if _gives_integers(node)}
    on_shapes -= {_known_as(node) for node in graph if not _gives_integers(node)}
    nodes = [(part.ep_name, node) for part in assigned for node in part.get_nodes()]
    left = Counter(node.op_type for where, node in nodes if where == CPU and _known_as(node) not in on_shapes)
    return left, sum(where != CPU for where, _ in nodes), len(nodes)


def _known_as(node: Any) -> tuple[str, str]:
    """By what a node of a graph is found among those of a session, which tells no more."""
    return node.name or "", node.op_type


def _gives_integers(node: ir.Node) -> bool:
    return all(value.dtype in _SHAPES for value in node.outputs)


def in_words(operators: Counter[str], most: int = NAMED) -> str:
    """Operators with their numbers, the most frequent first: "12 Slice, 3 Where"."""
    named = [f"{count} {operator}" for operator, count in operators.most_common(most)]
    return ", ".join(named) + (", ..." if len(operators) > most else "")


def _assigned(native: Any) -> list[Any] | None:
    if not hasattr(native, "get_provider_graph_assignment_info") or native.get_providers() == [CPU]:
        return None  # an older onnxruntime; a session on the CPU alone, which is not asked to keep it
    return list(native.get_provider_graph_assignment_info())
