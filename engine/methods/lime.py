"""LIME, as its authors' package explains pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from .checks import check_draws, check_positive
from .coalitions import CoalitionMethod, Design
from .option_help import SEED

__all__ = ["Lime"]


@dataclass(frozen=True)
class Lime(CoalitionMethod):
    """Coefficients of a linear model of the score, fitted to coalitions (Ribeiro et al., 2016, arXiv:1602.04938).

    Each group of a coalition stays with probability 1/2. The linear model is a ridge regression with intercept and
    penalty ``ridge``. A coalition weighs exp(-d^2 / (2 kernel_width^2)), where d is its cosine distance to the
    coalition of all groups, which is one of the points. ``samples`` counts the others.
    """

    name: ClassVar[str] = "lime"
    samples: int = field(default=1000, metadata={"help": "coalitions"})
    kernel_width: float = field(default=0.25, metadata={"help": "how near to the input coalitions count"})
    ridge: float = field(default=1.0, metadata={"help": "penalty of the linear model"})
    seed: int = field(default=0, metadata=SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_draws(self.samples, self.seed)
        check_positive("kernel_width", self.kernel_width)
        check_positive("ridge", self.ridge)

    def design(self, groups: int) -> Design:
        self.refuse_many(self.samples, groups)
        drawn = np.random.default_rng(self.seed).integers(0, 2, (self.samples, groups))
        kept = np.concatenate([np.ones((1, groups)), drawn])
        distance = 1 - np.sqrt(kept.mean(1))
        weights = np.exp(-(distance**2) / (2 * self.kernel_width**2))
        centred = kept - np.average(kept, axis=0, weights=weights)
        weighted = weights[:, None] * centred
        solution = np.linalg.solve(weighted.T @ centred + self.ridge * np.eye(groups), weighted.T)
        return kept[1:], solution.T[1:]
