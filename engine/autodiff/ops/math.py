"""Elementwise arithmetic and functions of one variable."""

from __future__ import annotations

import math

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, vjp
from .zeros import divided

_TINY = 1e-30  # a float32 whose reciprocal is finite


@vjp("Add")
def add(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return dy, dy


@vjp("Sub")
def sub(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return dy, g.Neg(dy)


@vjp("Mul")
def mul(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    a, b = node.inputs
    return g.Mul(dy, b), g.Mul(dy, a)


@vjp("Div")
def div(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    b, y = node.inputs[1], node.outputs[0]
    da = g.Div(dy, b)
    return da, g.Neg(g.Mul(da, y))


@vjp("Pow")
def pow(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """b a^(b-1) and a^b log(a), the latter 0 for a <= 0; a zeroth power is flat even at 0.

    Elsewhere the formula stays where b is computed: b a^(b-1) has a derivative by b that is not 0.
    """
    a, exponent = node.inputs
    b = g.CastLike(exponent, a)
    flat = g.Equal(b, 0)
    flat = flat if constant_of(exponent) is not None else g.And(flat, g.Less(g.Abs(a), _TINY))
    slope = g.Where(flat, 0, g.Mul(b, g.Pow(a, g.Where(flat, 1, g.Sub(b, 1)))))
    log = g.Log(g.Where(g.Greater(a, 0), a, 1))
    return g.Mul(dy, slope), g.CastLike(g.Mul(dy, node.outputs[0], log), exponent)


@vjp("Sum")
def sum(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return [dy] * len(node.inputs)


@vjp("Mean")
def mean(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return [g.Div(dy, len(node.inputs))] * len(node.inputs)


@vjp("Max", "Min")
def extremum(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The first input that attains the extremum takes the whole gradient."""
    gradients, rest = [], dy
    for x in node.inputs:
        hit = g.Equal(x, node.outputs[0])
        gradients.append(g.Where(hit, rest, 0))
        rest = g.Where(hit, 0, rest)
    return gradients


@vjp("Where")
def where(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    condition = node.inputs[0]
    return None, g.Where(condition, dy, 0), g.Where(condition, 0, dy)


@vjp("Mod")
def mod(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """a - q b with q a whole number, of fmod 0 and 1 alike; Round takes no bfloat16 before opset 22.

    Of fmod 0 a small negative number and a large b give b itself: infinite, it has no difference from a.
    """
    (a, b), (y,) = node.inputs, node.outputs
    quotient = g.Floor(g.Add(g.Div(g.Sub(a, y), b), 0.5))
    return dy, g.Neg(g.Mul(dy, g.Where(g.Equal(y, b), -1, quotient)))


@vjp("Neg")
def neg(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Neg(dy)


@vjp("Abs")
def abs(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(dy, g.Sign(node.inputs[0]))


@vjp("Sqrt")
def sqrt(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Of a sum of squares, as the magnitude of a spectrum is, 0 at the origin, as of ReduceL2."""
    twice = g.Mul(2, node.outputs[0])
    return divided(g, dy, twice) if _sums_squares(node.inputs[0]) else g.Div(dy, twice)


def _sums_squares(value: ir.Value | None) -> bool:
    node = value.producer() if value is not None else None
    if node is None or node.domain != "":
        return False
    if node.op_type in ("Add", "Sum", "ReduceSum", "ReduceMean"):
        return all(map(_sums_squares, node.inputs if node.op_type in ("Add", "Sum") else node.inputs[:1]))
    if node.op_type == "Mul":
        return node.inputs[0] is node.inputs[1]
    if node.op_type == "Pow":
        power = constant_of(node.inputs[1])
        return power is not None and power.size == 1 and bool((power == 2).all())
    return node.op_type == "ReduceSumSquare"


@vjp("Reciprocal")
def reciprocal(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (y,) = node.outputs
    return g.Neg(g.Mul(dy, g.Mul(y, y)))


@vjp("Exp")
def exp(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(dy, node.outputs[0])


@vjp("Log")
def log(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Div(dy, node.inputs[0])


@vjp("Erf")
def erf(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    return g.Mul(dy, g.Mul(2 / math.sqrt(math.pi), g.Exp(g.Neg(g.Mul(x, x)))))


@vjp("Sin")
def sin(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(dy, g.Cos(node.inputs[0]))


@vjp("Cos")
def cos(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Neg(g.Mul(dy, g.Sin(node.inputs[0])))


@vjp("Tan")
def tan(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (y,) = node.outputs
    return g.Mul(dy, g.Add(1, g.Mul(y, y)))


@vjp("Asin")
def asin(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    return g.Div(dy, g.Sqrt(g.Sub(1, g.Mul(x, x))))


@vjp("Acos")
def acos(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    return g.Neg(g.Div(dy, g.Sqrt(g.Sub(1, g.Mul(x, x)))))


@vjp("Atan")
def atan(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    return g.Div(dy, g.Add(1, g.Mul(x, x)))


@vjp("Sinh")
def sinh(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(dy, g.Cosh(node.inputs[0]))


@vjp("Cosh")
def cosh(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return g.Mul(dy, g.Sinh(node.inputs[0]))


@vjp("Asinh")
def asinh(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    return g.Div(dy, g.Sqrt(g.Add(g.Mul(x, x), 1)))


@vjp("Acosh")
def acosh(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    return g.Div(dy, g.Sqrt(g.Sub(g.Mul(x, x), 1)))


@vjp("Atanh")
def atanh(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    (x,) = node.inputs
    return g.Div(dy, g.Sub(1, g.Mul(x, x)))
