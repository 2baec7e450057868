"""The rules of LRP for layers of weights: what x gets of the relevance R of y = W x + b.

A ``LayerRule`` of an inner layer gives the gradient that times x is the relevance of x, so that what lies between
layers keeps the registry's rules; where x is zero, these rules give no relevance. ``FLAT``, ``W_SQUARE`` and
``z_box`` do, so they are rules of the first layer, and give the relevance itself.

Of a share, x gets x_i w_ij R_j / (sum_i x_i w_ij + b_j), with weights that the rule changes, and which may differ for
positive and negative x. The denominator is kept away from zero by ``STABILISER``, with sign(0) = +1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .layers import LinearLayer
from .signs import negative_part, never_negative, on_one_side, positive_part, takes_steps, where_negative

__all__ = ["FLAT", "STABILISER", "W_SQUARE", "Z_PLUS", "LayerRule", "alpha_beta", "gamma", "stable", "z_box"]

STABILISER = 1e-6
Emit = Callable[[GraphBuilder, LinearLayer, ir.Value], ir.Value]


@dataclass(frozen=True)
class LayerRule:
    """A rule by name: from the relevance of y to the gradient in x, or to the relevance of the model's input."""

    name: str
    emit: Emit

    def __call__(self, g: GraphBuilder, layer: LinearLayer, relevance: ir.Value) -> ir.Value:
        return self.emit(g, layer, relevance)


def gamma(factor: float = 0.25) -> LayerRule:
    """Positive weights count more (Montavon et al., 2019, doi 10.1007/978-3-030-28954-6_10).

    For negative x and y generalised as by Andeol et al., 2021 (arXiv:2106.00082): what has the sign of y counts more.
    """
    return LayerRule(f"gamma {factor:g}", partial(_gamma, factor=factor))


def alpha_beta(alpha: float = 2.0, beta: float = 1.0) -> LayerRule:
    """Positive and negative contributions apart (Bach et al., 2015, doi 10.1371/journal.pone.0130140, equation 60)."""
    return LayerRule(f"alpha {alpha:g} beta {beta:g}", partial(_alpha_beta, alpha=alpha, beta=beta))


def z_box(low: float | None = None, high: float | None = None) -> LayerRule:
    """For inputs between bounds (Montavon et al., 2017, arXiv:1512.02479): by default the example's least and most."""
    said = "z-box" if low is None and high is None else f"z-box {low} {high}"
    return LayerRule(said, partial(_z_box, low=low, high=high))


def _z_plus(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value) -> ir.Value:
    """Positive contributions alone (Montavon et al., 2017, arXiv:1512.02479)."""
    w, b = layer.weights(g)
    return _share(g, layer, relevance, _positive(g, w), _negative(g, w), _positive(g, b), 1)


def _alpha_beta(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value, alpha: float, beta: float) -> ir.Value:
    w, b = layer.weights(g)
    for_it = _share(g, layer, relevance, _positive(g, w), _negative(g, w), _positive(g, b), 1)
    against = _share(g, layer, relevance, _negative(g, w), _positive(g, w), _negative(g, b), -1)
    return g.Sub(g.Mul(for_it, alpha), g.Mul(against, beta))


def _gamma(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value, factor: float) -> ir.Value:
    (w, b), y = layer.weights(g), layer.y
    more, less = g.Add(w, g.Mul(_positive(g, w), factor)), g.Add(w, g.Mul(_negative(g, w), factor))
    above, below = (None if b is None else g.Add(b, g.Mul(part(g, b), factor)) for part in (_positive, _negative))
    of_positive = _share(g, layer, on_one_side(g, y, relevance, 1), more, less, above)
    of_negative = _share(g, layer, on_one_side(g, y, relevance, -1), less, more, below)
    return g.Add(of_positive, of_negative)


def _share(
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


def _flat(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value) -> ir.Value:
    """The same weight for every input (Lapuschkin et al., 2019, doi 10.1038/s41467-019-08987-4)."""
    w, _ = layer.weights(g)
    return _regardless(g, layer, relevance, g.expand_like(g.constant(1, w.dtype), w))


def _w_square(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value) -> ir.Value:
    """By the squares of the weights (Montavon et al., 2017, arXiv:1512.02479)."""
    w, _ = layer.weights(g)
    return _regardless(g, layer, relevance, g.Mul(w, w))


def _regardless(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value, w: ir.Value) -> ir.Value:
    """By weights alone, whatever x is."""
    ones = g.expand_like(g.constant(1, layer.x.dtype), layer.x)
    return layer.adjoint(g, layer.x, w, g.Div(relevance, stable(g, layer.forward(g, ones, w), sign=1)))


def _z_box(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value, low: float | None, high: float | None) -> ir.Value:
    (w, _), x = layer.weights(g), layer.x
    axes = list(range(1, g.rank(x)))
    least = g.ReduceMin(x, axes, keepdims=1) if low is None else g.constant(low, x.dtype)
    most = g.ReduceMax(x, axes, keepdims=1) if high is None else g.constant(high, x.dtype)
    ends = (g.expand_like(least, x), _positive(g, w)), (g.expand_like(most, x), _negative(g, w))
    z = layer.forward(g, x, w)
    for end, part in ends:
        z = g.Sub(z, layer.forward(g, end, part))
    shared = g.Div(relevance, stable(g, z))
    found = g.Mul(x, layer.adjoint(g, x, w, shared))
    for end, part in ends:
        found = g.Sub(found, g.Mul(end, layer.adjoint(g, x, part, shared)))
    return found


def stable(g: GraphBuilder, z: ir.Value, epsilon: float = STABILISER, sign: int = 0) -> ir.Value:
    """z, moved away from zero; ``sign`` where all of z is known to have one."""
    if sign:
        return g.Add(z, sign * epsilon)
    return g.Add(z, g.Where(g.Less(z, 0), g.constant(-epsilon, z.dtype), g.constant(epsilon, z.dtype)))


def _positive(g: GraphBuilder, value: ir.Value | None) -> ir.Value:
    return None if value is None else g.Max(value, 0)  # type: ignore[return-value]


def _negative(g: GraphBuilder, value: ir.Value | None) -> ir.Value:
    return None if value is None else g.Min(value, 0)  # type: ignore[return-value]


Z_PLUS, FLAT, W_SQUARE = LayerRule("z+", _z_plus), LayerRule("flat", _flat), LayerRule("w-square", _w_square)
