"""The tokens that a class activation map of a transformer explains where no layer is named."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from ..graph.traversal import ancestors
from .cam_tokens import CONVOLUTIONS, TOKEN_NORMS, attends, grid_of, tokens_of

__all__ = ["default_tokens", "is_first"]


def default_tokens(
    nodes: list[ir.Node], convolution: ir.Node, behind: set[ir.Value], common: set[ir.Value]
) -> tuple[ir.Value | None, bool]:
    """The tokens that the last attention behind a convolution reads, or without one the last that a norm gives; and
    whether there is any attention or norm of tokens."""
    made = _readers(nodes, convolution)
    attentions = [node for node in made if attends(node, behind)]
    found = [value for node in attentions if (value := tokens_of(node, behind)) is not None]
    norms = [node.outputs[0] for node in made if node.op_type in TOKEN_NORMS]
    norms = [value for value in norms if len(value.shape or ()) == 3 and len(convolution.outputs[0].shape or ()) > 3]
    candidates = found if attentions else [value for value in norms if value in common]
    return next(filter(_has_maps, reversed(candidates)), None), bool(attentions or norms)


def _readers(nodes: Iterable[ir.Node], start: ir.Node) -> list[ir.Node]:
    """The nodes that read, directly or not, what a node gives."""
    known, found = set(start.outputs), []
    for node in nodes:
        if node is not start and any(x in known for x in node.inputs):
            known.update(node.outputs)
            found.append(node)
    return found


def is_first(convolution: ir.Node) -> bool:
    """Whether no other convolution is before a convolution, as before one that embeds patches."""
    makers = {
        node
        for one in ancestors([x for x in convolution.inputs[:1] if x is not None])
        if (node := one.producer()) is not None
    }
    return not any(node.op_type in CONVOLUTIONS for node in makers)


def _has_maps(value: ir.Value) -> bool:
    return bool(grid_of(value)) or len(value.shape or ()) == 4
