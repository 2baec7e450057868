"""The papers' formulas in plain numpy, on the nets by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from black_box import BLACK_BOXES
from by_hand import Array, ByHand, Convolutional
from cam_formulas import FORMULAS
from relevances import deep_lift, lrp


def saliency(by_hand: ByHand, x: Array, k: int) -> Array:
    return by_hand.gradient(x, k)


def input_x_gradient(by_hand: ByHand, x: Array, k: int) -> Array:
    return x * by_hand.gradient(x, k)


def guided_backprop(by_hand: ByHand, x: Array, k: int) -> Array:
    return by_hand.gradient(x, k, "guided")


def deconvnet(by_hand: ByHand, x: Array, k: int) -> Array:
    return by_hand.gradient(x, k, "deconvnet")


def integrated_gradients(
    by_hand: ByHand, x: Array, k: int, steps: int = 50, baseline: Any = 0.0, rule: str = "gauss-legendre"
) -> Array:
    start = start_of(by_hand, baseline)
    if rule == "inclusive":
        path = [(step / (steps - 1), 1 / steps) for step in range(steps)]
    else:
        path = [((1 + t) / 2, w / 2) for t, w in zip(*np.polynomial.legendre.leggauss(steps), strict=True)]
    return (x - start) * sum(w * by_hand.gradient(start + alpha * (x - start), k) for alpha, w in path)


def expected_gradients(
    by_hand: ByHand, x: Array, k: int, samples: int = 50, baseline: Any = 0.0, seed: int = 0
) -> Array:
    """Each baseline equally often, in rounds of random order; then as many places."""
    starts = np.asarray(baseline, np.float64)
    starts = starts if starts.ndim == x.ndim else np.broadcast_to(start_of(by_hand, baseline), x.shape[1:])[None]
    rng = np.random.default_rng(seed)
    drawn = [one for _ in range(-(-samples // len(starts))) for one in rng.permutation(len(starts))][:samples]
    alphas = rng.random(samples).astype(np.float32)
    paths = [(starts[one], alpha) for one, alpha in zip(drawn, alphas, strict=True)]
    return np.mean([(x - b) * by_hand.gradient(b + alpha * (x - b), k) for b, alpha in paths], 0)


def start_of(by_hand: ByHand, baseline: Any) -> Array:
    array = np.asarray(baseline, np.float64)
    per_channel = array.ndim == 1 and isinstance(by_hand, Convolutional)
    return array[:, None, None] if per_channel else array


def smoothgrad(
    by_hand: ByHand,
    x: Array,
    k: int,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
    of: str = "saliency",
    statistic: str = "mean",
    **options: Any,
) -> Array:
    axes = tuple(range(1, x.ndim))
    spread = noise * (x.max(axes, keepdims=True) - x.min(axes, keepdims=True))
    draws = np.random.default_rng([seed, *b"x"]).standard_normal((samples, *x.shape[1:])).astype(np.float32)
    maps = np.array([REPLICAS[of](by_hand, x + spread * draw, k, **options) for draw in draws])
    return {"mean": maps.mean(0), "squared": (maps**2).mean(0), "variance": maps.var(0)}[statistic]


def class_activation_map(formula: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """The replica of a class activation map on the net by hand, whose layers with maps are conv and relu."""

    def replica(by_hand: ByHand, x: Array, k: int, layer: str = "relu", relu: bool = True) -> Array:
        assert isinstance(by_hand, Convolutional)
        h, dh = by_hand.hidden_of(x), by_hand.gradient_of_maps(x, k)
        if layer == "relu":
            h, dh = np.maximum(h, 0), by_hand.gradient_behind_relu(x, k)
        cam = formula(h, dh)
        return np.maximum(cam, 0) if relu else cam

    return replica


def occlusion(
    by_hand: ByHand,
    x: Array,
    k: int,
    window: Any = None,
    stride: Any = None,
    baseline: Any = 0.0,
    overlap: str = "mean",
) -> Array:
    sizes, images = x.shape[1:], x.ndim == 4
    widths = spans(window, [max(1, round(size / 7)) for size in sizes], sizes if images else None)
    strides = spans(stride, [-(-width // 2) for width in widths], widths if images else None)
    total, count = np.zeros(x.shape), np.zeros(x.shape[1:])
    for corner in product(*(starts(*axis) for axis in zip(sizes, widths, strides, strict=True))):
        place = tuple(slice(begin, begin + width) for begin, width in zip(corner, widths, strict=True))
        hidden = x.astype(np.float64)
        hidden[(slice(None), *place)] = np.broadcast_to(start_of(by_hand, baseline), sizes)[place]
        fall = (by_hand.scores(x) - by_hand.scores(hidden))[:, k]
        total[(slice(None), *place)] += fall.reshape(-1, *[1] * len(sizes))
        count[place] += 1
    return total / np.maximum(count, 1) if overlap == "mean" else total


def spans(given: Any, default: Any, whole: Any) -> list[int]:
    """A number for every axis but the channels, which are covered whole; or one per axis."""
    if isinstance(given, tuple):
        return list(given)
    values = list(default) if given is None else [given] * len(default)
    return values if whole is None else [whole[0], *values[1:]]


def starts(size: int, width: int, stride: int) -> list[int]:
    """Windows begin at multiples of the stride, until one reaches the end."""
    begins = [0]
    while begins[-1] + width < size:
        begins.append(begins[-1] + stride)
    return begins


def guided_grad_cam(by_hand: ByHand, x: Array, k: int, layer: str = "relu", relu: bool = True) -> Array:
    """The layers of the net by hand have the size of its input, so nothing is enlarged."""
    return guided_backprop(by_hand, x, k) * grad_cam(by_hand, x, k, layer, relu)[:, None]


def ablation_cam(by_hand: ByHand, x: Array, k: int, layer: str = "relu", relu: bool = True) -> Array:
    """Of either layer of the net by hand, a map that is zero gives zeros behind the Relu."""
    assert isinstance(by_hand, Convolutional)
    h, y, cam = by_hand.hidden_of(x), by_hand.scores(x)[:, k], np.zeros((len(x), *x.shape[2:]))
    for c in range(by_hand.maps):
        without = np.maximum(h * (np.arange(by_hand.maps) != c)[:, None, None], 0).mean((2, 3))
        fall = y - (without @ by_hand.weights["B"] + by_hand.weights["b"])[:, k]
        cam += (fall / np.abs(y))[:, None, None] * (np.maximum(h, 0) if layer == "relu" else h)[:, c]
    return np.maximum(cam, 0) if relu else cam


def score_cam(by_hand: ByHand, x: Array, k: int, layer: str = "relu", relu: bool = True) -> Array:
    """The layers of the net by hand have the size of its input, so nothing is enlarged."""
    assert isinstance(by_hand, Convolutional)
    h = by_hand.hidden_of(x)
    a = np.maximum(h, 0) if layer == "relu" else h
    least, most = a.min((2, 3), keepdims=True), a.max((2, 3), keepdims=True)
    masks = (a - least) / np.maximum(most - least, 1e-30)
    seen = np.exp([by_hand.scores(x * masks[:, c : c + 1])[:, k] for c in range(by_hand.maps)])
    cam = np.einsum("cn,nchw->nhw", seen / seen.sum(0), a)
    return np.maximum(cam, 0) if relu else cam


grad_cam = class_activation_map(FORMULAS["grad-cam"])

REPLICAS: dict[str, Callable[..., Array]] = {
    "saliency": saliency,
    "input-x-gradient": input_x_gradient,
    "guided-backprop": guided_backprop,
    "deconvnet": deconvnet,
    "integrated-gradients": integrated_gradients,
    "expected-gradients": expected_gradients,
    "smoothgrad": smoothgrad,
    "deep-lift": lambda by_hand, x, k, baseline=0.0: deep_lift(by_hand, x, k, start_of(by_hand, baseline)),
    "lrp": lrp,
    "occlusion": occlusion,
    "guided-grad-cam": guided_grad_cam,
    "ablation-cam": ablation_cam,
    "score-cam": score_cam,
    **{name: class_activation_map(formula) for name, formula in FORMULAS.items()},
    **BLACK_BOXES,
}
