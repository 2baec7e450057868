"""The overlays by name, and what users give in the place of a name: an ``Overlay``, or rules by operator."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx
import onnx_ir as ir

from ..errors import InputError
from ..graph.traversal import subgraphs
from ..support.caller import warn_caller
from ..support.choice import choose, nearest
from .composites import COMPOSITES
from .paths import depends_on, path_nodes
from .registry import FLOWS, NO_GRADIENT, RULES, Gradients, Overlay, Pairs, Rule, RuleFunction, pairs_of
from .relu_policies import DECONVNET, GUIDED

__all__ = ["EXACT", "OVERLAYS", "Rules", "checked", "laid_over", "overlay_of", "warn_of_unmet"]

Rules = str | Overlay | Mapping[str, Rule | RuleFunction]  # what users may say

EXACT = Overlay("exact")
_NAMED = (EXACT, GUIDED, DECONVNET, *COMPOSITES.values())
OVERLAYS: Mapping[str, Overlay] = {overlay.name: overlay for overlay in _NAMED}


def overlay_of(rules: Any) -> Overlay:
    """The overlay of a name, of rules by operator, or the one that is given; InputError for anything else."""
    if isinstance(rules, Overlay):
        for operator, rule in rules.rules.items():
            _check(operator, rule)
        return rules
    if isinstance(rules, str):
        return OVERLAYS[choose(rules, OVERLAYS, "overlay")]
    if isinstance(rules, Mapping):
        return overlay_of(Overlay("rules", rules))
    raise InputError(
        f"rules of type {type(rules).__name__}: give one of {', '.join(OVERLAYS)}, an onnxray.Overlay, or a mapping of "
        "operators to rules"
    )


def laid_over(first: Overlay, second: Overlay) -> Overlay:
    """The rules of the first, and where it has none those of the second."""
    if second is EXACT:
        return first
    return second if first is EXACT else _Stack(f"{first.name}, {second.name}", first=first, second=second)


@dataclass(frozen=True)
class _Stack(Overlay):
    first: Overlay = EXACT
    second: Overlay = EXACT

    def rule(self, node: ir.Node) -> Rule | None:
        return self.first.rule(node) or self.second.rule(node)

    def score_rule(self, node: ir.Node) -> Rule | None:
        return self.second.score_rule(node)

    def for_pass(self) -> Overlay:
        return replace(self, first=self.first.for_pass(), second=self.second.for_pass())


def warn_of_unmet(graph: ir.Graph, rules: Overlay, of: Iterable[ir.Value], wrt: Iterable[ir.Value]) -> None:
    """One line where no node between tensors has a rule of a user's overlay, which then changes nothing."""
    if any(rules is known for known in OVERLAYS.values()):  # what became of every activation is listed
        return
    rules = rules.for_pass()
    if not any(map(rules.overrides, _with_inner(path_nodes(graph, of, depends_on(graph, wrt, rules))))):
        warn_caller(
            f"no node between input and score has a rule of {rules.name!r}: the map is that of the gradient without it"
        )


def _with_inner(nodes: Iterable[ir.Node]) -> Iterator[ir.Node]:
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from graph.all_nodes()


def _check(operator: Any, rule: Any) -> None:
    """An InputError for an operator that there is not, or that has no rule to replace, and for what is no function."""
    domain, _, name = str(operator).rpartition("::")
    if (domain, name) in FLOWS:
        raise InputError(f"operator {operator} holds subgraphs; a rule can replace those of the operators in them only")
    if not domain and not onnx.defs.has(name) and (domain, name) not in {*RULES, *NO_GRADIENT}:
        near = nearest(name, [known for at, known in RULES if not at])
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"rules: ONNX has no operator {operator!r}{hint}")
    if not callable(rule):
        raise InputError(f"the rule for {operator} is of type {type(rule).__name__}: give a function rule(g, node, dy)")


def checked(node: ir.Node, gradients: Gradients, dependents: Collection[ir.Value], broadcasts: bool) -> Pairs:
    """The pairs of an overlay's rule; ValueError where it gives no gradients, another number, or one of another shape.

    Inputs at the end may be left out where no ``dependents`` are among them.
    """
    given = len(gradients) if isinstance(gradients, Sequence) else len(node.inputs)
    if given > len(node.inputs) or any(x in dependents for x in node.inputs[given:]):
        raise ValueError(
            f"the overlay's rule gives {given} gradients for {len(node.inputs)} inputs; give one each, None for zero"
        )
    pairs = list(pairs_of(node, gradients))
    for x, dx in pairs:
        if not isinstance(dx, ir.Value | None):
            raise ValueError(f"the overlay's rule gives a {type(dx).__name__} where a value that g emitted is expected")
        if x is not None and dx is not None and _differ(x, dx, broadcasts):
            raise ValueError(
                f"the overlay's rule gives a gradient of shape {dx.shape} for {x.name!r} of shape {x.shape}"
            )
    return pairs


def _differ(x: ir.Value, dx: ir.Value, broadcasts: bool) -> bool:
    """Whether two shapes cannot be the same, or x cannot have been repeated to the other by broadcasting."""
    if x.shape is None or dx.shape is None:
        return False
    extra = len(dx.shape) - len(x.shape)
    sizes = zip(x.shape, list(dx.shape)[max(extra, 0) :], strict=False)
    known = [(m, n) for m, n in sizes if isinstance(m, int) and isinstance(n, int)]
    return extra < 0 or (extra > 0 and not broadcasts) or any(m != n and not (broadcasts and m == 1) for m, n in known)
