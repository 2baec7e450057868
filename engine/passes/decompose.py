"""Replaces non-standard operators by standard ones, and removes sequence operators."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from . import (  # noqa: F401  they register decompositions
    deform_conv,
    fused,
    fused_attention,
    fused_norm,
    quantised,
    recurrent,
    regions,
    support_vectors,
)
from .decompositions import DECOMPOSITIONS, decompose_node
from .rewrite import rewrite_nodes
from .sequence_loops import stack_appended
from .sequences import decompose_sequences

__all__ = ["decompose_nodes"]


def decompose_nodes(program: ir.Model, nodes: Iterable[ir.Node]) -> bool:
    """Decomposes the nodes that have a decomposition, in place; returns whether any had one."""
    nodes = list(nodes)
    found = [node for node in nodes if (node.domain, node.op_type) in DECOMPOSITIONS]
    rewritten = rewrite_nodes(program, found, decompose_node)
    return stack_appended(program, nodes) or decompose_sequences(program, nodes) or rewritten
