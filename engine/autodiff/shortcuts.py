"""Steps of several nodes whose gradient takes fewer passes over memory as a whole than node by node."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .registry import Gradients, Rule, RuleFunction, as_rule

__all__ = ["GeluNodes", "gelu_nodes", "shortcuts"]

_MOST = 3  # products that make up the factors of one


def shortcuts(plain: Set[ir.Node], kept: Iterable[ir.Value]) -> dict[ir.Node, Rule]:
    """Rules for the last node of each such step, which give the gradient of its first value.

    All nodes of a step are ``plain``: they have the registry's rules. None of its values is ``kept``, as the gradients
    inside of it are left out.
    """
    found, kept = {}, set(kept)
    for node in plain:
        find = _FINDERS.get(node.op_type) if node.domain == "" else None
        step = find(node) if find is not None else None
        if step is not None and plain >= {*step.nodes} and kept.isdisjoint(step.between):
            found[node] = as_rule(step.rule)
    return found


@dataclass(frozen=True)
class _Step:
    """A rule for several nodes, and the values between them."""

    nodes: Collection[ir.Node]
    between: Collection[ir.Value]
    rule: RuleFunction


def _screen(node: ir.Node) -> _Step | None:
    """Where(IsNaN(p), 0, p) of p = Softmax(x), whose own rule multiplies by 0 where p is NaN."""
    condition, zero, p = node.inputs
    test, softmax = _maker(condition, "IsNaN"), _maker(p, "Softmax")
    if test is None or softmax is None or p is None or test.inputs[0] is not p or _number(zero) != 0:
        return None
    return _Step((node, softmax), (p,), lambda g, node, dy: {p: dy})


@dataclass(frozen=True)
class GeluNodes:
    """The nodes of y = factor x (1 + erf(scale x)), the ``last`` among them."""

    last: ir.Node
    bell: _Bell
    factor: float
    nodes: Collection[ir.Node]


def gelu_nodes(node: ir.Node) -> GeluNodes | None:
    """Gelu in its nodes, with the factor 1/2 and the scale sqrt(1/2), in any order of the factors, by its last Mul."""
    bell = next((found for h in _product(node)[1] if (found := _error_function(h)) is not None), None)
    if bell is None or bell.scale <= 0:
        return None
    products, factors = _product(node, bell.x)
    numbers = [number for one in factors if (number := _number(one)) is not None]
    if factors.count(bell.x) != 1 or factors.count(bell.h) != 1 or len(numbers) != len(factors) - 2:
        return None
    return GeluNodes(node, bell, math.prod(numbers), [*products, *bell.nodes])


def _gelu(node: ir.Node) -> _Step | None:
    found = gelu_nodes(node)
    if found is None:
        return None
    between = [one.outputs[0] for one in found.nodes if one is not node]
    return _Step(found.nodes, between, _gelu_rule(found.bell, found.factor))


def _gelu_rule(bell: _Bell, k: float) -> RuleFunction:
    """k (h + x h') with h' = 2 s / sqrt(pi) exp(-(s x)^2); k first, where a product of matrices may take it in."""
    logarithm = math.log(2 * bell.scale / math.sqrt(math.pi))

    def rule(g: GraphBuilder, node: ir.Node, dy: ir.Value) -> Gradients:
        slope = g.Mul(bell.x, g.Exp(g.Sub(logarithm, g.Mul(bell.scaled, bell.scaled))))
        return {bell.x: g.Mul(g.Mul(dy, k), g.Add(bell.h, slope))}

    return rule


_FINDERS = {"Where": _screen, "Mul": _gelu}


@dataclass(frozen=True)
class _Bell:
    """h = 1 + erf(scale x), of which ``scaled`` is scale x, or x itself."""

    x: ir.Value
    scale: float
    scaled: ir.Value
    h: ir.Value
    nodes: Collection[ir.Node]


def _error_function(h: ir.Value | None) -> _Bell | None:
    add = _maker(h, "Add")
    erf = next((one for x in add.inputs if (one := _maker(x, "Erf")) is not None), None) if add is not None else None
    if h is None or add is None or erf is None or 1 not in map(_number, add.inputs):
        return None
    scaled, times = erf.inputs[0], _maker(erf.inputs[0], "Mul", "Div")
    numbers = [_number(one) for one in times.inputs] if times is not None else []
    place = next((k for k, number in enumerate(numbers) if number), None)
    if scaled is not None and (times is None or place is None):
        return _Bell(scaled, 1.0, scaled, h, (add, erf))
    if scaled is None or times is None or place is None or (times.op_type == "Div" and place == 0):
        return None
    x, number = times.inputs[1 - place], float(numbers[place] or 0)
    scale = 1 / number if times.op_type == "Div" else number
    return None if x is None else _Bell(x, scale, scaled, h, (add, erf, times))


def _product(node: ir.Node, whole: ir.Value | None = None) -> tuple[list[ir.Node], list[ir.Value | None]]:
    """The products that a product multiplies, itself first, and their factors; one factor is taken as a whole."""
    nodes, factors = [node], []
    for one in nodes:
        for x in one.inputs:
            if x is not whole and len(nodes) <= _MOST and (maker := _maker(x, "Mul")) is not None:
                nodes.append(maker)
            else:
                factors.append(x)
    return nodes, factors


def _maker(value: ir.Value | None, *ops: str) -> ir.Node | None:
    """The node that makes a value, if it is of one of these operators."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.domain == "" and node.op_type in ops else None


def _number(value: ir.Value | None) -> float | None:
    """A constant of one element, which broadcasts to nothing larger than what it meets."""
    known = constant_of(value)
    return float(known.reshape(())) if known is not None and known.size == 1 and known.ndim <= 1 else None
