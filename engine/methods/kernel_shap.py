"""KernelSHAP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np

from ..errors import InputError
from .checks import check_draws
from .coalitions import CoalitionMethod, Design
from .option_help import SEED

__all__ = ["KernelShap", "coalitions"]


@dataclass(frozen=True)
class KernelShap(CoalitionMethod):
    """Shapley values of groups, by least squares over coalitions (Lundberg and Lee, 2017, arXiv:1705.07874).

    The attributions sum to f(x) - f(baseline). ``samples`` are coalitions: all of them where there are no more, which
    gives the exact values; else sizes whose coalitions fit are taken whole, from the smallest and largest on, and the
    rest are pairs of a random coalition and its complement, as in the package shap. As the coalitions are known before
    the run, least squares is a constant matrix.
    """

    name: ClassVar[str] = "kernel-shap"
    samples: int = field(default=1000, metadata={"help": "coalitions"})
    seed: int = field(default=0, metadata=SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_draws(self.samples, self.seed)

    def design(self, groups: int) -> Design:
        """That of none, then the others; least squares of sum_j z_j phi_j, where sum_j phi_j is fixed."""
        self.refuse_many(self.samples, groups)
        kept, weights = coalitions(groups, self.samples, np.random.default_rng(self.seed))
        sizes, root = kept.sum(1), np.sqrt(weights)
        centred = root[:, None] * (kept - kept.mean(1, keepdims=True))
        if len(kept) < groups - 1 or np.linalg.matrix_rank(centred) < groups - 1:
            raise InputError(
                f"samples={self.samples}: too few coalitions for {groups} groups; give {4 * groups} or more, or fewer "
                "groups by groups= or cells="
            )
        solution = np.linalg.pinv(centred) * root  # (groups, points), whose columns sum to 0
        none = -solution.sum(1) - (1 - solution @ sizes) / groups
        return np.concatenate([np.zeros((1, groups)), kept]), np.concatenate([none[None], solution.T])


def coalitions(groups: int, samples: int, rng: np.random.Generator) -> Design:
    """Coalitions but those of none and of all (points, groups), and their weights in the least squares (points,)."""
    share = {size: _of_both(groups, size) * (groups - 1) / (size * (groups - size)) for size in _sizes(groups)}
    kept, weights, left = [np.zeros((0, groups))], [np.zeros(0)], samples
    for size in _sizes(groups):  # whole, while at least as many would be drawn of it
        count = comb(groups, size) * _of_both(groups, size)
        if count > left * share[size] / sum(share.values()) * (1 + 1e-9):
            break
        kept.append(_whole(groups, size))
        weights.append(np.full(count, share.pop(size) / count))
        left -= count
    if share and left > 1:
        kept.append(_drawn(groups, share, left // 2, rng))
        weights.append(np.full(len(kept[-1]), sum(share.values()) / len(kept[-1])))
    return np.concatenate(kept), np.concatenate(weights)


def _sizes(groups: int) -> range:
    """The sizes of coalitions whose complement is not smaller."""
    return range(1, groups // 2 + 1)


def _of_both(groups: int, size: int) -> int:
    """How many sizes a coalition and its complement have."""
    return 1 if 2 * size == groups else 2


def _whole(groups: int, size: int) -> np.ndarray:
    """All coalitions of a size, and their complements."""
    chosen = np.array(list(combinations(range(groups), size)))
    found = np.zeros((len(chosen), groups))
    np.put_along_axis(found, chosen, 1, axis=1)
    return found if 2 * size == groups else np.concatenate([found, 1 - found])


def _drawn(groups: int, share: Mapping[int, float], pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Random coalitions of sizes by their share, each with its complement."""
    sizes = rng.choice(list(share), pairs, p=np.array(list(share.values())) / sum(share.values()))
    ranks = rng.random((pairs, groups)).argsort(1).argsort(1)
    found = (ranks < sizes[:, None]).astype(float)
    return np.concatenate([found, 1 - found])
