"""The rules of LRP for layers of weights: what x gets of the relevance R of y = W x + b.

A ``LayerRule`` of an inner layer gives the gradient that times x is the relevance of x, so that what lies between
layers keeps the registry's rules; where x is zero, these rules give no relevance. ``FLAT``, ``W_SQUARE`` and
``z_box`` do, so they are rules of the first layer, and give the relevance itself.

Of a share, x gets x_i w_ij R_j / (sum_i x_i w_ij + b_j), with weights that the rule changes, and which may differ for
positive and negative x: see ``relevance_shares``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .layers import LinearLayer
from .relevance_shares import share, stable
from .signs import on_one_side

__all__ = ["FLAT", "W_SQUARE", "Z_PLUS", "LayerRule", "alpha_beta", "gamma", "z_box"]

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
    """Positive and negative contributions apart (Bach et al., 2015, doi 10.1371/journal.pone.0130140, equation 60).

    Of a sum that has contributions of one sign alone, alpha R or -beta R is handed on, and not R.
    """
    return LayerRule(f"alpha {alpha:g} beta {beta:g}", partial(_alpha_beta, alpha=alpha, beta=beta))


def z_box(low: float | None = None, high: float | None = None) -> LayerRule:
    """For inputs between bounds (Montavon et al., 2017, arXiv:1512.02479): by default the example's least and most."""
    said = "z-box" if low is None and high is None else f"z-box {low} {high}"
    return LayerRule(said, partial(_z_box, low=low, high=high))


def _z_plus(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value) -> ir.Value:
    """Positive contributions alone (Montavon et al., 2017, arXiv:1512.02479)."""
    w, b = layer.weights(g)
    return share(g, layer, relevance, _positive(g, w), _negative(g, w), _positive(g, b), 1)


def _alpha_beta(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value, alpha: float, beta: float) -> ir.Value:
    w, b = layer.weights(g)
    for_it = share(g, layer, relevance, _positive(g, w), _negative(g, w), _positive(g, b), 1)
    against = share(g, layer, relevance, _negative(g, w), _positive(g, w), _negative(g, b), -1)
    return g.Sub(g.Mul(for_it, alpha), g.Mul(against, beta))


def _gamma(g: GraphBuilder, layer: LinearLayer, relevance: ir.Value, factor: float) -> ir.Value:
    (w, b), y = layer.weights(g), layer.y
    more, less = g.Add(w, g.Mul(_positive(g, w), factor)), g.Add(w, g.Mul(_negative(g, w), factor))
    above, below = (None if b is None else g.Add(b, g.Mul(part(g, b), factor)) for part in (_positive, _negative))
    of_positive = share(g, layer, on_one_side(g, y, relevance, 1), more, less, above)
    of_negative = share(g, layer, on_one_side(g, y, relevance, -1), less, more, below)
    return g.Add(of_positive, of_negative)


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


def _positive(g: GraphBuilder, value: ir.Value | None) -> ir.Value:
    return None if value is None else g.Max(value, 0)  # type: ignore[return-value]


def _negative(g: GraphBuilder, value: ir.Value | None) -> ir.Value:
    return None if value is None else g.Min(value, 0)  # type: ignore[return-value]


Z_PLUS, FLAT, W_SQUARE = LayerRule("z+", _z_plus), LayerRule("flat", _flat), LayerRule("w-square", _w_square)
