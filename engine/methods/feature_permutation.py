"""Feature permutation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .base import EmitContext, Emitted
from .checks import check_draws
from .coalitions import GroupMethod
from .explained import Explained
from .feature_ablation import falls_of_groups, hidden_elements, one_group_points
from .group_nodes import example_input, rows_along
from .groups import Grouping
from .option_help import SEED
from .samplers import WEIGHT, Sampler

__all__ = ["FeaturePermutation", "values_of_others"]


@dataclass(frozen=True)
class FromOthers(Sampler):
    """Each group of the input with the values that other examples have there, ``samples`` points for each group."""

    grouping: Grouping
    samples: int

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        for about in explained.values():
            _check_input(about)
        first, each = [], np.arange(self.samples)
        for name, array in one_group_points(self.grouping.counts(explained)).items():
            first.append((name, np.concatenate([array[:1], np.repeat(array[1:], self.samples, 0)])))
        points = dict(first)
        count = len(next(iter(points.values())))
        draws = np.append(0, np.tile(each, (count - 1) // self.samples)).astype(np.float32)
        weights = np.append(1, np.full(count - 1, 1 / self.samples)).astype(np.float32)
        return points | {"draw": draws, WEIGHT: weights}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        hidden = rows_along(g, hidden_elements(g, self.grouping, x, about, points), about)
        shape = [self.samples, *about.shape]
        others = example_input(g, _input_name(about), ir.DataType.FLOAT, shape, x, about)
        draw = g.Unsqueeze(g.Cast(points["draw"], to=ir.DataType.INT64), [1])
        drawn = rows_along(g, g.GatherND(others, draw, batch_dims=1), about)
        return g.shaped_like(g.Where(hidden, g.CastLike(drawn, x), x), x)


@dataclass(frozen=True)
class FeaturePermutation(GroupMethod):
    """Fall of the score as a group takes another example's values (Fisher et al., 2019, arXiv:1801.01489).

    The mean over the examples of a batch is the importance of Breiman (2001). ``groups`` and ``cells`` as for
    feature-ablation. Each group is shuffled by itself, ``samples`` times; no example keeps its own values, and
    ``samples`` one less than the examples give it those of every other example once.
    """

    name: ClassVar[str] = "feature-permutation"
    blank: ClassVar[str] = "other examples' values never change the score; choose other groups= or other examples"
    samples: int = field(default=5, metadata={"help": "permutations"})
    seed: int = field(default=0, metadata=SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_draws(self.samples, self.seed)

    def samplers(self) -> Sequence[Sampler]:
        return (FromOthers(self.grouping, self.samples),)

    @property
    def one_by_one(self) -> bool:
        return False  # its values come from the others

    def emit(self, context: EmitContext) -> Emitted:
        return Emitted(falls_of_groups(context, self.grouping) | self.groups_at_first(context))

    def example_inputs(
        self, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
    ) -> dict[str, np.ndarray]:
        groups = super().example_inputs(arrays, explained)
        return groups | {_input_name(about): self._others(arrays[name], about) for name, about in explained.items()}

    def _others(self, array: np.ndarray, about: Explained) -> np.ndarray:
        examples = np.moveaxis(array, about.batch or 0, 0)
        if about.batch is None or len(examples) < 2:
            raise InputError(f"{self.name} takes values from other examples: give two or more examples in one array")
        groups = self.grouping.of(about)[None]
        if self.grouping.by_example(about):
            groups = self.grouping.of_examples(array, about)
            groups = groups if about.channels is None else np.expand_dims(groups, 1 + about.channels)
        return values_of_others(examples, groups, self.samples, self.seed)


def values_of_others(examples: np.ndarray, groups: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """The values that each example takes: (N, samples, *shape) float32.

    Each group has a random order of the examples. In draw s each takes the values of the example 1 + s places behind it
    in that order, which is a circle; the number of places is never that of the examples.

    Args:
        examples: (N, *shape).
        groups: The group of each element, numbered from 0; it broadcasts over the examples.
        samples: How many draws.
        seed: Seed of the orders.
    """
    count = len(examples)
    orders = np.stack([np.random.default_rng([seed, k]).permutation(count) for k in range(int(groups.max()) + 1)])
    places = orders.argsort(1)  # (groups, N)
    whole = np.broadcast_to(groups, examples.shape)
    rows, elements = np.ogrid[:count, : whole[0].size]
    group, flat = whole.reshape(count, -1), examples.reshape(count, -1)
    draws = [1 + s % (count - 1) for s in range(samples)]
    givers = [orders[group, (places[group, rows] + step) % count] for step in draws]
    return np.stack([flat[giver, elements].reshape(examples.shape) for giver in givers], 1).astype(np.float32)


def _input_name(about: Explained) -> str:
    """The name of the graph's input that has what each example takes from others."""
    return f"others/{about.name}"


def _check_input(about: Explained) -> None:
    """An InputError for tensors inside the model, of which other examples' values are not at hand."""
    if about.tokens or about.tensor not in (None, about.name):
        raise InputError(
            f"feature-permutation takes values of other examples' inputs, and {about.name!r} is inside the model; "
            "choose feature-ablation"
        )
