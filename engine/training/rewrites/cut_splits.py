"""Replaces Split, some of whose parts lead nowhere, with a Slice for every part."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...autodiff.paths import depends_on
from ...graph.builder import GraphBuilder
from ...passes.replace import nodes_of

__all__ = ["cut_splits"]


def cut_splits(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted; a Split of computed sizes stays where these are not known."""
    g = GraphBuilder(program.graph, prefix="cut")
    ends = set(program.graph.outputs)
    found = [
        node
        for node in nodes_of(program, "Split")
        if any(not depends_on(program.graph, [v]) & ends for v in node.outputs)
    ]
    cuts = [(node, starts) for node in found if (starts := _starts(node)) is not None]
    for node, starts in cuts:
        axis = node.attributes.get_int("axis", 0)
        for part, start, end in zip(node.outputs, starts[:-1], starts[1:], strict=True):
            value = g.Slice(node.inputs[0], [start], [end], [axis])
            name, part.name = part.name, None
            part.replace_all_uses_with(value, replace_graph_outputs=True)
            value.name = name
        program.graph.remove(node, safe=True)
    return bool(cuts)


def _starts(node: ir.Node) -> list[int] | None:
    """Where the parts begin, and the last one ends; None where only the run will tell."""
    axis = node.attributes.get_int("axis", 0)
    lengths = [part.shape[axis] if part.shape is not None else None for part in node.outputs]
    known = [n for n in lengths if isinstance(n, int)]
    return [0, *np.cumsum(known).tolist()] if len(known) == len(lengths) else None
