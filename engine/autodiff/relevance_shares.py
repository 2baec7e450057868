"""Shares of a relevance by what a layer adds up: the step that the rules of LRP for layers of weights have in common.

The sum that a share is divided by is kept away from zero by ``STABILISER``, with sign(0) = +1.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .layers import LinearLayer
from .signs import negative_part, never_negative, positive_part, takes_steps, where_negative

__all__ = ["STABILISER", "share", "stable"]

STABILISER = 1e-6


def share(
    g: GraphBuilder,
    layer: LinearLayer,
    relevance: ir.Value,
    above: ir.Value,
    below: ir.Value,
    b: ir.Value | None,
    sign: int = 0,
) -> ir.Value:
    """The gradient in x by weights ``above`` for positive and ``below`` for negative x; ``sign`` is that of the sum.

    Where it is known, the bias is moved in the place of every sum.
    """
    x, moved = layer.x, b is not None and sign != 0
    b = g.Add(b, sign * STABILISER) if moved else b

    def part_of(z: ir.Value) -> ir.Value:
        return g.Div(relevance, z if moved else stable(g, z, sign=sign))

    if never_negative(x):
        return layer.adjoint(g, x, above, part_of(layer.forward(g, x, above, b)))
    above_zero, below_zero = positive_part(g, x), negative_part(g, x)
    if _takes_one(g, layer):
        w, both = g.Concat(above, below, axis=1), g.Concat(above_zero, below_zero, axis=1)
        found = layer.adjoint(g, both, w, part_of(layer.forward(g, both, w, b)))
        of_positive, of_negative = g.Split(found, axis=1, num_outputs=2, outputs=2)
        return where_negative(g, x, of_negative, of_positive)
    part = part_of(g.Add(layer.forward(g, above_zero, above, b), layer.forward(g, below_zero, below)))
    return where_negative(g, x, layer.adjoint(g, x, below, part), layer.adjoint(g, x, above, part))


def _takes_one(g: GraphBuilder, layer: LinearLayer) -> bool:
    """Whether one convolution of twice the channels costs less than two, whose sum a runtime's blocked layout has."""
    whole = layer.node.op_type == "Conv" and layer.node.attributes.get_int("group", 1) == 1
    return whole and not takes_steps(g, layer.x)


def stable(g: GraphBuilder, z: ir.Value, epsilon: float = STABILISER, sign: int = 0) -> ir.Value:
    """z, moved away from zero; ``sign`` where all of z is known to have one."""
    if sign:
        return g.Add(z, sign * epsilon)
    return g.Add(z, g.Where(g.Less(z, 0), g.constant(-epsilon, z.dtype), g.constant(epsilon, z.dtype)))
