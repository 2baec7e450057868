"""Puts what stands for an operator in its place, and tensors in that of what takes them out of sequences."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from . import (  # noqa: F401  they register spellings
    deform_conv,
    fused,
    fused_attention,
    fused_norm,
    quantised,
    recurrent,
    regions,
    support_vectors,
)
from .decompositions import SPELLS, spelled
from .rewrite import respell
from .sequence_loops import stack_appended
from .sequences import spell_sequences

__all__ = ["spell_out"]


def spell_out(program: ir.Model, nodes: Iterable[ir.Node]) -> bool:
    """Works in place on those of the nodes that have a spelling; true where there was one."""
    nodes = list(nodes)
    found = [node for node in nodes if (node.domain, node.op_type) in SPELLS]
    spelt = respell(program, found, spelled)
    return stack_appended(program, nodes) or spell_sequences(program, nodes) or spelt
