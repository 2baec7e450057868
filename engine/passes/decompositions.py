"""The registry of spellings: what stands for an operator that the standard does not have."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder

__all__ = [
    "DECOMPOSITIONS",
    "MICROSOFT",
    "Decomposition",
    "channels_first",
    "channels_last",
    "decompose_node",
    "decomposes",
    "padded_inputs",
]

Decomposition = Callable[[GraphBuilder, Any], Sequence[ir.Value | None]]
MICROSOFT = "com.microsoft"
_decompositions: dict[tuple[str, str], Decomposition] = {}
DECOMPOSITIONS: Mapping[tuple[str, str], Decomposition] = MappingProxyType(_decompositions)


def decomposes(*ops: str, domain: str = MICROSOFT) -> Callable[[Decomposition], Decomposition]:
    """Registers what emits the outputs of operators in standard ones, None for an output that has no spelling."""

    def register(function: Decomposition) -> Decomposition:
        _decompositions.update({(domain, op): function for op in ops})
        return function

    return register


def decompose_node(g: GraphBuilder, node: ir.Node) -> Sequence[ir.Value | None]:
    """What stands for a node. Most such operators have no schema that would find an attribute missing."""
    said = _Said(node.attributes)
    seen = SimpleNamespace(op_type=node.op_type, inputs=node.inputs, outputs=node.outputs, attributes=said)
    return DECOMPOSITIONS[node.domain, node.op_type](g, seen)


class _Said(UserDict[str, ir.Attr]):
    """The attributes of a node, of which one that is asked for without a default must be there."""

    def __init__(self, attributes: Any) -> None:
        self.data = attributes

    def __getattr__(self, getter: str) -> Callable[..., Any]:
        def get(name: str, *default: Any) -> Any:
            if name not in self and not default:
                raise ValueError(f"its attribute {name!r} is missing")
            return getattr(self.data, getter)(name, *default)

        return get


def padded_inputs(node: Any, count: int) -> list[Any]:
    """As many inputs as are asked for, None for those that are left out."""
    return [*node.inputs, *[None] * count][:count]


def channels_first(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """x with its last axis as the second."""
    rank = g.rank(x)
    return g.Transpose(x, perm=[0, rank - 1, *range(1, rank - 1)])


def channels_last(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """x with its second axis as the last."""
    return g.Transpose(x, perm=[0, *range(2, g.rank(x)), 1])
