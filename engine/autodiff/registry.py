"""The registry of differentiation rules: ``vjp``, ``no_gradient`` and overlays.

A rule is a function ``rule(g, node, dy)``: it takes the builder, the forward node and the gradient of the score with
respect to the node's output, and returns the gradients with respect to the node's inputs, one entry per input (a lone
value where there is one input). ``None`` says that the gradient is zero. A node with several differentiable outputs
passes one ``dy`` each, None where the score does not depend on it. Broadcasting is undone by the caller. A rule for a
layer of several nodes returns a mapping of values to their gradients instead: it may skip the nodes between. In the
place of a gradient that is seldom wanted, as that of weights is, a rule may give a function that emits it, ``Later``.

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
    "Later",
    "Node",
    "Overlay",
    "Pairs",
    "Rule",
    "RuleFunction",
    "Unsettled",
    "as_rule",
    "emitted",
    "flow",
    "no_gradient",
    "pairs_of",
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


Gradients = Sequence[ir.Value | None] | Mapping[ir.Value, ir.Value] | ir.Value | None
Later = Callable[[], ir.Value | None]
Unsettled = Gradients | Sequence[ir.Value | Later | None]
RuleFunction = Callable[..., Unsettled]
Pairs = Iterable[tuple[ir.Value | None, ir.Value | None]]


@dataclass(frozen=True)
class Rule:
    """One rule: its function, how many output gradients it takes (None: any number), and what results call it."""

    function: RuleFunction
    outputs: int | None
    name: str = ""

    def __call__(
        self, g: Any, node: ir.Node, *dy: ir.Value | None, wanted: Callable[[Any], bool] = lambda x: True
    ) -> Gradients:
        """The gradients; those that the function leaves for later are emitted for the inputs that are ``wanted``."""
        return emitted(self.function(g, node, *dy), [x is not None and wanted(x) for x in node.inputs])


def emitted(found: Unsettled, wanted: Sequence[bool]) -> Gradients:
    """The gradients that a rule's function gave; those that it left for later are emitted where they are wanted."""
    if not isinstance(found, Sequence):
        return found if isinstance(found, Mapping) else [found]
    flags = [*wanted, *[False] * len(found)]
    return [(one() if flag else None) if callable(one) else one for one, flag in zip(found, flags, strict=False)]


@dataclass(frozen=True)
class Overlay:
    """Rules that replace those of the registry during one reverse pass.

    Args:
        name: How results and errors call it.
        rules: The rules by operator: ``rule(g, node, dy)`` takes the builder of the graph, the node and the gradient of
            the score with respect to the node's output, and returns the gradient with respect to the node's input, one
            for each input, or a mapping of values to gradients. An operator of another domain than ONNX's is named as
            in "com.microsoft::FusedConv".
        applies: Which nodes of these operators take the rule; the others keep the registry's.

    A subclass may override ``rule`` and choose by the node alone.

    Example:
        >>> import onnxray.models
        >>> clipped = onnxray.Overlay("clipped", {"Relu": lambda g, node, dy: g.Clip(dy, -1.0, 1.0)})
        >>> graph = onnxray.differentiate(onnxray.models.path("digits.onnx"), relu=clipped)
        >>> graph.relu, sum(activation.overridden for activation in graph.activations)
        ('clipped', 3)
    """

    name: str
    rules: Mapping[str, Rule | RuleFunction] = field(default_factory=dict)
    applies: Callable[[ir.Node], bool] = lambda node: True

    def rule(self, node: ir.Node) -> Rule | None:
        """The rule for a node, None for the registry's own."""
        found = self.rules.get(f"{node.domain}::{node.op_type}" if node.domain else node.op_type)
        return as_rule(found) if found is not None and self.applies(node) else None

    def score_rule(self, node: ir.Node) -> Rule | None:
        """The rule for a node that onnxray added to select the score: the registry's own."""
        return None

    @property
    def is_whole(self) -> bool:
        """Whether it has a rule for every operator, so that none below it counts."""
        return False

    def first_layers(self, nodes: Iterable[ir.Node]) -> Sequence[Any]:
        """The layers whose rule gives the relevance of their input, which a method adds; see ``Composite``."""
        return ()

    def stopped_at_first(self) -> Overlay:
        """The same rules, whose first layers send nothing on."""
        return self

    def for_pass(self) -> Overlay:
        """The same rules for one reverse pass, which may keep what they find out about its graph."""
        return self

    def overrides(self, node: ir.Node) -> bool:
        """Whether a node takes another rule than the registry's."""
        return self.rule(node) is not None


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


def as_rule(function: Rule | RuleFunction, name: str = "") -> Rule:
    """Reads off a function's signature how many output gradients it takes."""
    if isinstance(function, Rule):
        return function
    parameters = list(inspect.signature(function).parameters.values())[2:]
    variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    return Rule(function, None if variadic else len(parameters), name)


def pairs_of(node: Node, gradients: Gradients) -> Pairs:
    """The values that a rule's gradients are of: the node's inputs in their order, or those of a mapping."""
    if isinstance(gradients, Mapping):
        return gradients.items()
    return zip(node.inputs, gradients if isinstance(gradients, Sequence) else [gradients], strict=False)


def _claim(domain: str, op: str) -> None:
    if any((domain, op) in known for known in (_rules, _no_gradient, _flows)):
        raise ValueError(f"operator {domain}::{op} has a rule already")
