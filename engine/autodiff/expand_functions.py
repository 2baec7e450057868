"""Replaces the operators on the way of a gradient that have no rule by others that have one."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.model import Model, infer_shapes
from ..graph.traversal import subgraphs
from ..passes.decompose import decompose_nodes
from ..passes.expand import expand_nodes, fold_known_shapes
from .paths import depends_on, reached_nodes
from .registry import NO_GRADIENT, Overlay, rule_for

__all__ = ["expand_functions"]


def expand_functions(
    model: Model, of: Sequence[str] | str, wrt: Sequence[str] | str, overlay: Overlay | None = None
) -> bool:
    """Expands, in place, every node between that has a function body and no rule; true where one was found."""
    between = reached_nodes(model.graph, model.values(of), depends_on(model.graph, model.values(wrt), overlay), overlay)
    inner = [node for top in between for graph in subgraphs(top) for node in graph.all_nodes()]
    waiting = [n for n in (*between, *inner) if rule_for(n) is None and (n.domain, n.op_type) not in NO_GRADIENT]
    waiting = [n for n in waiting if overlay is None or not overlay.overrides(n)]
    if decompose_nodes(model.program, waiting):
        infer_shapes(model.program)
        return expand_functions(model, of, wrt, overlay) or True
    found = expand_nodes(model.program, waiting)
    if not found and any(node.op_type == "If" for node in between):
        found = fold_known_shapes(model.program)
    if found:
        expand_functions(model, of, wrt, overlay)
    return found
