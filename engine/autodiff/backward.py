"""The reverse pass: a model in, a model that also computes gradients out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir

from ..errors import NoGradientPath, UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.model import is_float
from ..graph.node_names import SHADOW
from ..graph.traversal import ancestors, inputs_of
from . import ops as _ops  # noqa: F401  registers the rules
from .early_gates import early_gates
from .overlays import checked
from .paths import depends_on, path_nodes, stops
from .registry import FLOWS, NO_GRADIENT, Overlay, Pairs, Rule, as_rule, pairs_of, rule_for
from .relu_policies import ACTIVATIONS
from .shortcuts import shortcuts

__all__ = ["BROADCASTING", "Activation", "Backward", "Builder", "backward"]

# Operators with multidirectional broadcasting (ONNX, Broadcasting.md); MatMul broadcasts its batch axes.
BROADCASTING = frozenset(
    {"Add", "And", "Div", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Pow", "PRelu", "Sub", "Sum", "Where"}
)


@dataclass(frozen=True)
class Activation:
    """An activation node, or another that an overlay has a rule for, and whether the overlay replaced its rule.

    ``rule`` is the name of the overlay's rule, where it has one.
    """

    node: str
    op: str
    overridden: bool
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.op} {self.node}: {'overridden' if self.overridden else 'left alone'}"


@dataclass(frozen=True)
class Backward:
    """The result of a reverse pass: gradients by value, activation nodes, and nodes that stop the gradient."""

    gradients: Mapping[ir.Value, ir.Value]
    activations: tuple[Activation, ...]
    blockers: tuple[ir.Node, ...]


Builder = Callable[[GraphBuilder, Mapping[ir.Value, ir.Value], Iterable[ir.Value], Overlay], Backward]


def backward(
    g: GraphBuilder, seeds: Mapping[ir.Value, ir.Value], wrt: Iterable[ir.Value], overlay: Overlay
) -> Backward:
    """Appends the reverse pass to the graph: from seeds on some values to the gradients of others."""
    wrt, overlay = list(wrt), overlay.for_pass()
    sweep = _Sweep(g, overlay, depends_on(g.graph, wrt, overlay))
    for y, seed in seeds.items():
        sweep.add(y, seed)
    path = path_nodes(g.graph, seeds, sweep.dependents)
    for node in path:
        if (rule := overlay.score_rule(node) if node in g.emitted else overlay.rule(node)) is not None:
            sweep.overrides[node] = as_rule(rule)
    whole = set(path)
    plain = whole - set(sweep.overrides)
    sweep.shortcuts |= shortcuts(plain, wrt)
    sweep.shortcuts |= early_gates(whole, plain, {*wrt, *seeds})
    for node in reversed(path):
        sweep.visit(node)
    ends = [node for node in path if node not in sweep.blockers and stops(node)]
    return Backward(
        {x: dx for x in wrt if (dx := sweep.total(x)) is not None},
        tuple(sweep.activations[::-1]),
        (*sweep.blockers, *ends),
    )


@dataclass
class _Sweep:
    """The state of one reverse pass: the gradients that have arrived so far."""

    g: GraphBuilder
    overlay: Overlay
    dependents: set[ir.Value]
    overrides: dict[ir.Node, Rule] = field(default_factory=dict)  # chosen before any node is emitted
    shortcuts: dict[ir.Node, Rule] = field(default_factory=dict)
    parts: dict[ir.Value, ir.Value] = field(default_factory=dict)
    activations: list[Activation] = field(default_factory=list)
    blockers: list[ir.Node] = field(default_factory=list)

    def add(self, value: ir.Value, gradient: ir.Value) -> None:
        arrived = self.parts.get(value)
        self.parts[value] = gradient if arrived is None else self.g.Add(arrived, gradient)

    def total(self, value: ir.Value) -> ir.Value | None:
        return self.parts.get(value)

    def visit(self, node: ir.Node) -> None:
        """Sends the gradients of a node's outputs on to its inputs."""
        dys = [self.total(output) for output in node.outputs]
        if all(dy is None for dy in dys):
            return
        self.g.prefix = f"grad/{node.name or node.op_type}"
        if (node.domain, node.op_type) in FLOWS:
            pairs = FLOWS[node.domain, node.op_type](self.g, node, _Inner(self), *dys)
        else:
            pairs = self._apply(node, dys)
        arrived = [self._reach(node, x, dx) for x, dx in pairs]
        if not any(arrived):
            self.blockers.append(node)

    def _reach(self, node: ir.Node, x: ir.Value | None, dx: ir.Value | None) -> bool:
        if x is None or dx is None or x not in self.dependents:
            return False
        self.add(x, self.g.sum_to(dx, x) if node.op_type in BROADCASTING else self.g.shaped_like(dx, x))
        return True

    def _apply(self, node: ir.Node, dys: Sequence[ir.Value | None]) -> Pairs:
        """The values that a node reads, with their gradients."""
        other = self.overrides.get(node)
        if node.op_type in ACTIVATIONS or other is not None:
            self.activations.append(
                Activation(own_name(node), node.op_type, other is not None, other.name if other else "")
            )
        if other is None and (node.domain, node.op_type) in NO_GRADIENT:
            return []
        rule = other or self.shortcuts.get(node) or rule_for(node)
        if rule is None:
            raise UnsupportedOperator(f"{describe(node)} has no differentiation rule")
        taken = len(dys) if rule.outputs is None else rule.outputs
        if any(dy is not None for dy in dys[taken:]):
            raise UnsupportedOperator(f"{describe(node)}: no rule for the gradient of output {taken + 1} and later")
        try:
            found = rule(self.g, node, *dys[:taken], wanted=self.dependents.__contains__)
            if other is None:
                return pairs_of(node, found)
            return checked(node, found, self.dependents, node.op_type in BROADCASTING)
        except (ValueError, onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            raise UnsupportedOperator(f"{describe(node)} cannot be differentiated: {error}") from error


@dataclass(frozen=True)
class _Inner:
    """The reverse pass of a subgraph within that of the graph around it."""

    outer: _Sweep

    def wants(self, value: ir.Value | None) -> bool:
        return value is not None and value in self.outer.dependents and is_float(value)

    def __call__(
        self, g: GraphBuilder, seeds: Mapping[ir.Value, ir.Value], wrt: Iterable[ir.Value]
    ) -> Mapping[ir.Value, ir.Value]:
        g.prefix = self.outer.g.prefix
        found = backward(g, seeds, wrt, self.outer.overlay)
        self.outer.activations.extend(found.activations[::-1])
        return found.gradients


def describe(node: ir.Node) -> str:
    """How messages name a node."""
    domain = f"{node.domain}::" if node.domain else ""
    node_name, output = ((name or "").removeprefix(SHADOW) for name in (node.name, node.outputs[0].name))
    return f"operator {domain}{node.op_type} (node {node_name!r}, output {output!r})"


def own_name(node: ir.Node) -> str:
    """The name that users know a node by, or its output's."""
    return str(node.name or node.outputs[0].name).removeprefix(SHADOW)


def connected(found: Backward, x: ir.Value, ys: Iterable[ir.Value], name: str | None = None) -> ir.Value:
    """The gradient of x, or an error that says where the way from x ends."""
    if x in found.gradients:
        return found.gradients[x]
    goals, named = list(ys), repr(name or x.name)
    goal = ", ".join("the score" if _is_own(y.name) else repr(y.name) for y in goals)
    if x not in set(ancestors(goals)):
        remedy = "name another by score=, or take a black-box method such as occlusion, which gives it zero"
        other = "leave it out, or take another output"
        raise NoGradientPath(f"{named} has no influence on {goal}: {remedy if _is_own(goals[0].name) else other}")
    blockers = [node for node in found.blockers if not _is_own(node.name) and x in set(ancestors(inputs_of(node)))]
    ends = "; it ends at " + ", ".join(map(describe, blockers[:3])) if blockers else ""
    raise NoGradientPath(
        f"no differentiable path leads from {named} to {goal}{ends}: use a black-box method such as occlusion"
    )


def _is_own(name: str | None) -> bool:
    """Whether an explanation made a value or node, which the model's user does not know."""
    return (name or "").startswith("explain/")
