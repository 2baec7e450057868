"""Products and quotients where factors are 0, such that the derivative of what is emitted is right there, too."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from ...graph.builder import GraphBuilder

__all__ = ["divided", "other_zeros"]


def other_zeros(g: GraphBuilder, factors: ir.Value, total: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """For each factor of a product, the product of those others that are 0; 1 where there are none.

    One other is returned as the value that it is, of which the derivative is 1; that of several is 0. So the gradient
    of the product and its own gradient, the Hessian, are right. ``total`` sums over the factors of the same product.
    """
    zero = g.Equal(factors, 0)
    own, count = g.Where(zero, factors, 0), g.Cast(zero, to=factors.dtype)
    rest, others = g.Sub(total(own), own), g.Sub(total(count), count)
    return g.Where(g.Less(others, 0.5), 1, g.Where(g.Less(others, 1.5), rest, 0))


def divided(g: GraphBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """a / b, and 0 where b is 0; no division by 0 is left, whose derivative would be NaN behind a Where, too."""
    zero = g.Equal(b, 0)
    return g.Where(zero, 0, g.Div(a, g.Where(zero, 1, b)))
