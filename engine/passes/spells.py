"""The registry of spellings: what stands for an operator that the standard does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import onnx_ir as ir

from ..graph import GraphBuilder

__all__ = ["MICROSOFT", "SPELLS", "Spell", "padded_inputs", "spells"]

Spell = Callable[[GraphBuilder, Any], Sequence[ir.Value | None]]
MICROSOFT = "com.microsoft"
_spells: dict[tuple[str, str], Spell] = {}
SPELLS: Mapping[tuple[str, str], Spell] = MappingProxyType(_spells)


def spells(*ops: str, domain: str = MICROSOFT) -> Callable[[Spell], Spell]:
    """Registers what emits the outputs of operators in standard ones, None for an output that has no spelling."""

    def register(function: Spell) -> Spell:
        _spells.update({(domain, op): function for op in ops})
        return function

    return register


def padded_inputs(node: Any, count: int) -> list[Any]:
    """As many inputs as are asked for, None for those that are left out."""
    return [*node.inputs, *[None] * count][:count]
