"""The formulas of the methods that look at a model from outside, in plain numpy, on the nets by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import Array, ByHand
from onnxray.methods.kernel_shap import coalitions

QUICK: dict[str, dict[str, Any]] = {  # for tests of something else than the number of points
    "rise": {"samples": 40},
    "kernel-shap": {"cells": 2},
    "lime": {"cells": 2, "samples": 40},
    "shapley-sampling": {"cells": 2, "samples": 3},
}

OF_A_KIND = ("feature-permutation", "mutagenesis", "tree-shap")  # need several examples, one-hot sequences, trees
ORDINARY = [name for name in onnxray.METHODS if name not in OF_A_KIND]
# The methods of every model; the others follow the attention of transformers (test_rollouts.py).
ANYWHERE = [name for name in ORDINARY if not onnxray.METHODS[name].has_attention]
ALIKE = ("lime", "shapley-sampling")  # have the nodes of kernel-shap, with other constants


def every_day(methods: Iterable[str]) -> list[Any]:
    """Methods as parameters of a test; those whose nodes are another's are left to the slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in methods]


Game = Callable[[Array], Array]  # coalitions (points, groups) to scores (points, examples)


def groups_of(x: Array, groups: Any = None, cells: Any = 8) -> Array:
    """The group of each element of an example."""
    shape = x.shape[1:]
    if isinstance(groups, np.ndarray):
        return np.broadcast_to(np.searchsorted(np.unique(groups), groups), shape)
    if len(shape) == 1:
        return np.arange(shape[0])
    counts = [1, *shape[1:]] if groups == "pixels" else list(cells) if isinstance(cells, tuple) else [1, cells, cells]
    found = np.zeros(shape, int)
    for place in np.ndindex(*shape):
        cell = [min(c, n) * k // n for k, n, c in zip(place, shape, counts, strict=True)]
        found[place] = np.ravel_multi_index(cell, [min(c, n) for n, c in zip(shape, counts, strict=True)])
    return found


def game(by_hand: ByHand, x: Array, k: int, groups: Array, baseline: Any) -> Game:
    start = start_of(x, baseline)

    def scores(kept: Array) -> Array:
        return np.stack([by_hand.scores(np.where(one[groups] > 0, x, start))[:, k] for one in kept])

    return scores


def start_of(x: Array, baseline: Any) -> Array:
    array = np.asarray(baseline, np.float64)
    return array[:, None, None] if array.ndim == 1 and x.ndim == 4 else array


def feature_ablation(
    by_hand: ByHand, x: Array, k: int, groups: Any = None, cells: Any = 8, baseline: Any = 0.0
) -> Array:
    of = groups_of(x, groups, cells)
    count = of.max() + 1
    play = game(by_hand, x, k, of, baseline)
    return (play(np.ones((1, count))) - play(1 - np.eye(count)))[of].transpose(x.ndim - 1, *range(x.ndim - 1))


def feature_permutation(
    by_hand: ByHand, x: Array, k: int, groups: Any = None, cells: Any = 8, samples: int = 5, seed: int = 0
) -> Array:
    """In draw s each example of a group's random order takes the values of the one s + 1 places behind it."""
    of, found = groups_of(x, groups, cells), np.zeros(x.shape)
    for group in range(of.max() + 1):
        order = np.random.default_rng([seed, group]).permutation(len(x))
        for s in range(samples):
            taken = x.copy()
            for place, one in enumerate(order):
                taken[one, of == group] = x[order[(place + 1 + s % (len(x) - 1)) % len(x)], of == group]
            fall = (by_hand.scores(x) - by_hand.scores(taken))[:, k]
            found[:, of == group] += fall[:, None] / samples
    return found


def mutagenesis(by_hand: ByHand, x: Array, k: int, letters: int | None = None, show: str = "changes") -> Array:
    """As in tangermeme: less the mean over the letters ("centred"), times the sequence ("present")."""
    axis = 1 + (x.shape[1:].index(4) if letters is None else letters)
    first, changes = np.moveaxis(x, axis, -1), np.zeros(x.shape)
    for place in np.ndindex(*first.shape[1:]):
        mutant = first.copy()
        mutant[(slice(None), *place[:-1])] = np.eye(first.shape[-1])[place[-1]]
        change = by_hand.scores(np.moveaxis(mutant, -1, axis)) - by_hand.scores(x)
        np.moveaxis(changes, axis, -1)[(slice(None), *place)] = change[:, k]
    if show == "changes":
        return changes
    centred = changes - changes.mean(axis, keepdims=True)
    return centred if show == "centred" else centred * x


def shapley_values(play: Game, count: int) -> Array:
    """Shapley's sum over all coalitions: (groups, examples)."""
    subsets = [set(s) for size in range(count + 1) for s in combinations(range(count), size)]
    value = {frozenset(s): v for s, v in zip(subsets, play(np.array([[k in s for k in range(count)] for s in subsets])),
                                             strict=True)}  # fmt: skip
    parts = [
        sum(
            factorial(len(s)) * factorial(count - 1 - len(s)) / factorial(count) * (value[frozenset(s | {k})] - v)
            for s, v in ((set(s), v) for s, v in value.items())
            if k not in s
        )
        for k in range(count)
    ]
    return np.array(parts)


def kernel_shap(
    by_hand: ByHand, x: Array, k: int, groups: Any = None, cells: Any = 8, baseline: Any = 0.0, samples: int = 1000,
    seed: int = 0,
) -> Array:  # fmt: skip
    """All coalitions of a few groups are Shapley's sum; else least squares with the constraint as a Lagrangian's."""
    of = groups_of(x, groups, cells)
    count, play = of.max() + 1, game(by_hand, x, k, of, baseline)
    if 2**count - 2 <= samples:
        return shapley_values(play, count)[of].transpose(x.ndim - 1, *range(x.ndim - 1))
    z, w = coalitions(count, samples, np.random.default_rng(seed))
    none, every = play(np.array([[0] * count, [1] * count]))
    square = np.block([[z.T @ (w[:, None] * z), np.ones((count, 1))], [np.ones((1, count)), np.zeros((1, 1))]])
    right = np.concatenate([z.T @ (w[:, None] * (play(z) - none)), [every - none]])
    return np.linalg.solve(square, right)[:-1][of].transpose(x.ndim - 1, *range(x.ndim - 1))


def lime(
    by_hand: ByHand, x: Array, k: int, groups: Any = None, cells: Any = 8, baseline: Any = 0.0, samples: int = 1000,
    kernel_width: float = 0.25, ridge: float = 1.0, seed: int = 0,
) -> Array:  # fmt: skip
    of = groups_of(x, groups, cells)
    count = of.max() + 1
    z = np.vstack([np.ones(count), np.random.default_rng(seed).integers(0, 2, (samples, count))])
    y = game(by_hand, x, k, of, baseline)(z)
    lengths = np.linalg.norm(z, axis=1)
    cosine = z @ z[0] / (np.where(lengths > 0, lengths, 1) * np.sqrt(count))
    w = np.sqrt(np.exp(-((1 - cosine) ** 2) / kernel_width**2))[:, None]
    design = np.hstack([np.ones((len(z), 1)), z])
    penalty = ridge * np.diag([0.0] + [1.0] * count)
    found = np.linalg.solve(design.T @ (w * design) + penalty, design.T @ (w * y))[1:]
    return found[of].transpose(x.ndim - 1, *range(x.ndim - 1))


def shapley_sampling(
    by_hand: ByHand, x: Array, k: int, groups: Any = None, cells: Any = 8, baseline: Any = 0.0, samples: int = 25,
    seed: int = 0,
) -> Array:  # fmt: skip
    of = groups_of(x, groups, cells)
    count, play = of.max() + 1, game(by_hand, x, k, of, baseline)
    found = np.zeros((count, len(x)))
    for order in np.random.default_rng(seed).random((samples, count)).argsort(1):
        kept = np.cumsum(np.vstack([np.zeros(count), np.eye(count)[order]]), 0)
        found[order] += np.diff(play(kept), axis=0) / samples
    return found[of].transpose(x.ndim - 1, *range(x.ndim - 1))


def rise(
    by_hand: ByHand, x: Array, k: int, cells: int = 8, keep: float = 0.5, baseline: Any = 0.0, samples: int = 1000,
    seed: int = 0,
) -> Array:  # fmt: skip
    start, total = start_of(x, baseline), np.zeros(x.shape)
    for mask in rise_masks(x.shape[1:], cells, keep, samples, seed):
        score = by_hand.scores(mask * x + (1 - mask) * start)[:, k]
        total += score.reshape(-1, *[1] * (x.ndim - 1)) * mask
    return total / (keep * samples)


def rise_masks(shape: tuple[int, ...], cells: int, keep: float, samples: int, seed: int) -> list[Array]:
    """Each axis enlarged by linear interpolation between the middles of cells, mirrored at the ends, and shifted."""
    sizes = shape[1:] if len(shape) > 1 else shape
    counts = [min(cells, size) if len(shape) > 1 else size for size in sizes]
    rng = np.random.default_rng([seed, 0])
    grids = rng.random((samples, *counts)) < keep
    high = [-(-size // count) for size, count in zip(sizes, counts, strict=True)]
    masks = grids.astype(float)
    shifts = rng.integers(0, high, (samples, len(sizes)))
    found = [
        enlarged(enlarged_all(mask, sizes, counts, high), shift, sizes)
        for mask, shift in zip(masks, shifts, strict=True)
    ]
    return [mask[None] if len(shape) > 1 else mask for mask in found]


def enlarged_all(mask: Array, sizes: Any, counts: Any, high: Any) -> Array:
    for axis, (size, count, cell) in enumerate(zip(sizes, counts, high, strict=True)):
        if count < size:
            whole = (count + 1) * cell
            places = (np.arange(whole) + 0.5) * count / whole - 0.5
            ends = [(1, 1) if k == axis else (0, 0) for k in range(mask.ndim)]
            middles = np.arange(-1, count + 1)
            mask = np.apply_along_axis(
                lambda line, at=places, of=middles: np.interp(at, of, line), axis, np.pad(mask, ends, mode="reflect")
            )
    return mask


def enlarged(mask: Array, shift: Array, sizes: Any) -> Array:
    return mask[tuple(slice(begin, begin + size) for begin, size in zip(shift, sizes, strict=True))]


BLACK_BOXES: dict[str, Callable[..., Array]] = {
    "feature-ablation": feature_ablation,
    "feature-permutation": feature_permutation,
    "mutagenesis": mutagenesis,
    "rise": rise,
    "kernel-shap": kernel_shap,
    "lime": lime,
    "shapley-sampling": shapley_sampling,
}
