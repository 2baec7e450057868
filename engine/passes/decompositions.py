"""The registry of decompositions: standard operators that replace an operator outside the standard."""

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
    """Registers a function that emits the outputs of ``ops`` by standard operators, None for one it cannot emit."""

    def register(function: Decomposition) -> Decomposition:
        _decompositions.update({(domain, op): function for op in ops})
        return function

    return register


def decompose_node(g: GraphBuilder, node: ir.Node) -> Sequence[ir.Value | None]:
    """Emits the decomposition of a node. Most such operators have no schema that would report a missing attribute."""
    attributes = _RequiredAttributes(node.attributes)
    view = SimpleNamespace(op_type=node.op_type, inputs=node.inputs, outputs=node.outputs, attributes=attributes)
    return DECOMPOSITIONS[node.domain, node.op_type](g, view)


class _RequiredAttributes(UserDict[str, ir.Attr]):
    """Attribute access that raises ValueError when a required attribute is missing."""

    def __init__(self, attributes: Any) -> None:
        self.data = attributes

    def __getattr__(self, getter: str) -> Callable[..., Any]:
        def get(name: str, *default: Any) -> Any:
            if name not in self and not default:
                raise ValueError(f"its attribute {name!r} is missing")
            return getattr(self.data, getter)(name, *default)

        return get


def padded_inputs(node: Any, count: int) -> list[Any]:
    """``count`` inputs of a node, None for each that is left out."""
    return [*node.inputs, *[None] * count][:count]


def channels_first(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """x with its last axis as the second."""
    rank = g.rank(x)
    return g.Transpose(x, perm=[0, rank - 1, *range(1, rank - 1)])


def channels_last(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """x with its second axis as the last."""
    return g.Transpose(x, perm=[0, *range(2, g.rank(x)), 1])
