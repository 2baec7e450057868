"""LRP and DeepLIFT in plain numpy as their papers write them: the relevance R of z = x W + b becomes that of x."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from by_hand import Array, ByHand, Convolutional

EPSILON = 1e-6
Spread = Callable[[Array, Array, Array, Array], Array]


def stable(z: Array, epsilon: float = EPSILON) -> Array:
    return z + epsilon * np.where(z < 0, -1, 1)


def epsilon(x: Array, w: Array, b: Array, r: Array) -> Array:
    return x * ((r / stable(x @ w + b)) @ w.T)


def parts(x: Array, w: Array, sign: int) -> Array:
    """The contributions x_i w_ij of one sign, (rows, i, j)."""
    return np.maximum(sign * x[:, :, None] * w, 0) * sign


def spread(contributions: Array, z: Array, r: Array) -> Array:
    return (contributions * (r / stable(z))[:, None, :]).sum(2)


def z_plus(x: Array, w: Array, b: Array, r: Array) -> Array:
    return alpha_beta(1, 0)(x, w, b, r)


def alpha_beta(alpha: float, beta: float) -> Spread:
    def rule(x: Array, w: Array, b: Array, r: Array) -> Array:
        above, below = parts(x, w, 1), parts(x, w, -1)
        positive = spread(above, above.sum(1) + np.maximum(b, 0), r)
        return alpha * positive - beta * spread(below, below.sum(1) + np.minimum(b, 0), r)

    return rule


def gamma(factor: float) -> Spread:
    """Contributions of the sign of z count 1 + gamma times."""

    def rule(x: Array, w: Array, b: Array, r: Array) -> Array:
        z, total = x @ w + b, np.zeros_like(x)
        for sign in (1, -1):
            heavy = x[:, :, None] * w + factor * parts(x, w, sign)
            bias = b + factor * sign * np.maximum(sign * b, 0)
            total = total + spread(heavy, heavy.sum(1) + bias, r * (sign * z > 0))
        return total

    return rule


def flat(x: Array, w: Array, b: Array, r: Array) -> Array:
    return spread(*by_weights(x, w != 0), r)


def w_square(x: Array, w: Array, b: Array, r: Array) -> Array:
    return spread(*by_weights(x, w**2), r)


def by_weights(x: Array, w: Array) -> tuple[Array, Array]:
    every = np.broadcast_to(w, (len(x), *w.shape)).astype(np.float64)
    return every, every.sum(1)


def z_box(low: Array | float, high: Array | float) -> Spread:
    def rule(x: Array, w: Array, b: Array, r: Array) -> Array:
        ends = [np.broadcast_to(end, x.shape)[:, :, None] for end in (low, high)]
        every = x[:, :, None] * w - ends[0] * np.maximum(w, 0) - ends[1] * np.minimum(w, 0)
        return spread(every, every.sum(1), r)

    return rule


def first_layer(by_hand: ByHand, x: Array) -> tuple[Array, Array]:
    """The first layer as a matrix, whose rows are its answers to unit vectors, and its bias."""
    count = x[0].size
    bias = by_hand.hidden_of(np.zeros_like(x[:1])).reshape(-1)
    return by_hand.hidden_of(np.eye(count).reshape(count, *x.shape[1:])).reshape(count, -1) - bias, bias


def deep_lift(by_hand: ByHand, x: Array, k: int, baseline: Array | float = 0.0) -> Array:
    """(x - x') m with the multipliers of each layer: its weights, and of Relu the differences' quotient."""
    start = np.broadcast_to(baseline, x.shape[1:])[None].astype(np.float64)
    h, h_ = by_hand.hidden_of(x), by_hand.hidden_of(start)
    slope = (np.maximum(h, 0) - np.maximum(h_, 0)) / (h - h_)
    behind = by_hand.gradient_behind_relu(x, k) if isinstance(by_hand, Convolutional) else by_hand.weights["B"][:, k]
    multipliers = (slope * behind).reshape(len(x), -1) @ first_layer(by_hand, x)[0].T
    return (x - start) * multipliers.reshape(x.shape)


def lrp(by_hand: ByHand, x: Array, k: int, composite: str = "epsilon-plus") -> Array:
    """The relevance of the input for class k: of Dense and Convolutional, whose first layer is taken as a matrix."""
    flat_x, weights = x.reshape(len(x), -1).astype(np.float64), by_hand.weights
    h, (w, bias) = by_hand.hidden_of(x), first_layer(by_hand, x)
    r, convolves = np.maximum(h, 0), isinstance(by_hand, Convolutional)
    pooled = r.mean((2, 3)) if convolves else r
    relevance = epsilon(pooled, weights["B"], weights["b"], by_hand.scores(x) * np.eye(by_hand.classes)[k])
    if convolves:  # a mean hands on by what it adds up
        relevance = r * (relevance / stable(pooled))[:, :, None, None] / (r.shape[2] * r.shape[3])
    low, high = (end(flat_x, 1, keepdims=True) for end in (np.min, np.max))
    rules = {"epsilon-plus": z_plus, "epsilon-alpha2-beta1": alpha_beta(2, 1)} if convolves else {}
    rules |= {"epsilon-plus-flat": flat, "epsilon-gamma-box": z_box(low, high)}
    rule = rules.get(composite, epsilon)
    return rule(flat_x, w, bias, relevance.reshape(len(x), -1)).reshape(x.shape)
