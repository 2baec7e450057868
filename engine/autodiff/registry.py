"""The registry of differentiation rules: ``vjp``, ``no_gradient`` and overlays.

A rule is a function ``rule(g, node, dy)``: it takes the builder, the forward node and the gradient of the score with
respect to the node's output, and returns the gradients with respect to the node's inputs, one entry per input (a lone
value where there is one input). ``None`` says that the gradient is zero. A node with several differentiable outputs
passes one ``dy`` each, None where the score does not depend on it. Broadcasting is undone by the caller.

An operator with subgraphs has a ``flow`` rule: ``rule(g, node, inner, *dys)`` yields pairs of a value that the node
reads, or that its subgraphs capture, and its gradient; ``inner`` is the reverse pass of a subgraph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import onnx_ir as ir

__all__ = [
    "FLOWS",
    "NO_GRADIENT",
    "RULES",
    "Gradients",
    "Inner",
    "Node",
    "Overlay",
    "Rule",
    "as_rule",
    "flow",
    "no_gradient",
    "rule_for",
    "vjp",
]


class Node(Protocol):
    """A forward node as rules see it: an ``onnx_ir.Node`` whose inputs are typed loosely, as optional ones are None."""

    @property
    def name(self) -> str | None: ...
    @property
    def op_type(self) -> str: ...
    @property
    def inputs(self) -> Sequence[Any]: ...
    @property
    def outputs(self) -> Sequence[ir.Value]: ...
    @property
    def attributes(self) -> Any: ...


Gradients = Sequence[ir.Value | None] | ir.Value | None
RuleFunction = Callable[..., Gradients]


@dataclass(frozen=True)
class Rule:
    """One rule: its function and how many output gradients it takes (None: any number)."""

    function: RuleFunction
    outputs: int | None

    def __call__(self, g: Any, node: ir.Node, *dy: ir.Value | None) -> Sequence[ir.Value | None]:
        gradients = self.function(g, node, *dy)
        return [gradients] if gradients is None or isinstance(gradients, ir.Value) else gradients


@dataclass(frozen=True)
class Overlay:
    """Rules that replace those of the registry for one backward pass; ``applies`` may exclude single nodes."""

    name: str
    rules: Mapping[str, Rule] = field(default_factory=dict)
    applies: Callable[[ir.Node], bool] = lambda node: True

    def overrides(self, node: ir.Node) -> bool:
        return node.domain == "" and node.op_type in self.rules and self.applies(node)


class Inner(Protocol):
    """The reverse pass of a subgraph, as flow rules call it."""

    def wants(self, value: ir.Value | None) -> bool:
        """Whether the gradient with respect to a value is requested."""
        ...

    def __call__(
        self, g: Any, seeds: Mapping[ir.Value, ir.Value], wrt: Sequence[ir.Value]
    ) -> Mapping[ir.Value, ir.Value]: ...


FlowRule = Callable[..., Iterable[tuple[ir.Value, ir.Value]]]
_flows: dict[tuple[str, str], FlowRule] = {}
FLOWS: Mapping[tuple[str, str], FlowRule] = MappingProxyType(_flows)
_rules: dict[tuple[str, str], Rule] = {}
_no_gradient: set[tuple[str, str]] = set()
RULES: Mapping[tuple[str, str], Rule] = MappingProxyType(_rules)
NO_GRADIENT: Set[tuple[str, str]] = _no_gradient


def vjp(*ops: str, domain: str = "") -> Callable[[RuleFunction], RuleFunction]:
    """Registers the vector-Jacobian product of operators."""

    def register(function: RuleFunction) -> RuleFunction:
        for op in ops:
            _claim(domain, op)
            _rules[domain, op] = as_rule(function)
        return function

    return register


def flow(op: str) -> Callable[[FlowRule], FlowRule]:
    """Registers the rule of an operator with subgraphs."""

    def register(function: FlowRule) -> FlowRule:
        _claim("", op)
        _flows["", op] = function
        return function

    return register


def no_gradient(*ops: str, domain: str = "") -> None:
    """Declares operators whose derivative is zero or undefined everywhere."""
    for op in ops:
        _claim(domain, op)
        _no_gradient.add((domain, op))


def rule_for(node: ir.Node) -> Rule | None:
    """The registered rule of a node's operator."""
    return _rules.get((node.domain, node.op_type))


def as_rule(function: RuleFunction) -> Rule:
    """Reads off a function's signature how many output gradients it takes."""
    parameters = list(inspect.signature(function).parameters.values())[2:]
    variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    return Rule(function, None if variadic else len(parameters))


def _claim(domain: str, op: str) -> None:
    if any((domain, op) in known for known in (_rules, _no_gradient, _flows)):
        raise ValueError(f"operator {domain}::{op} has a rule already")
