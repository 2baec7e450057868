"""Shapley values from random orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from .checks import check_draws
from .coalitions import CoalitionMethod, Design
from .option_help import SEED

__all__ = ["ShapleySampling"]


@dataclass(frozen=True)
class ShapleySampling(CoalitionMethod):
    """Mean rise of the score as a group joins others in random order (Castro, 2009, doi:10.1016/j.cor.2008.04.004).

    The attributions sum to f(x) - f(baseline), and their error falls as one over the root of ``samples``, the orders.
    """

    name: ClassVar[str] = "shapley-sampling"
    samples: int = field(default=25, metadata={"help": "orders"})
    seed: int = field(default=0, metadata=SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_draws(self.samples, self.seed)

    def design(self, groups: int) -> Design:
        """The coalition of none, which all orders share, then those of each order; that of all is the input itself."""
        self.refuse_many(self.samples * groups, groups)
        orders = np.random.default_rng(self.seed).random((self.samples, groups)).argsort(1)
        ranks = orders.argsort(1)  # when each group joins
        steps = np.arange(groups)  # how many have joined
        kept = ranks[:, None, :] < steps[None, :, None]
        joined, joins = ranks[:, None, :] == steps[:, None] - 1, ranks[:, None, :] == steps[:, None]
        credit = (joined.astype(float) - joins) / self.samples
        none = credit[:, 0].sum(0, keepdims=True)
        rest = [array[:, 1:].reshape(-1, groups) for array in (kept, credit)]
        return np.concatenate([np.zeros((1, groups)), rest[0]]), np.concatenate([none, rest[1]])
