"""The subject of the quality metrics: a model, one input, a method's map of it, and perturbed inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...attribution.heads import find_head
from ...data.batch import Batch, Prepared
from ...drawing import heatmap
from ...errors import InputError
from ...optional import import_extra
from ..explained_target import ExplainedTarget
from ..model_under_test import ModelUnderTest, finite, map_of
from .agreement import strength

__all__ = ["QualityCase"]

CHUNK = 16  # inputs that are run at once, unless they take more memory than allowed


@dataclass(frozen=True, eq=False)
class QualityCase:
    """A method's map of one example, with everything that the quality metrics need; ``rng`` makes them repeatable.

    ``random_sides`` are the same model by the share of layers, from the top down, whose weights are randomised.
    """

    side: ModelUnderTest
    given: Prepared
    target: ExplainedTarget
    method: str
    map: NDArray[np.floating]
    rng: np.random.Generator
    random_sides: Mapping[float, ModelUnderTest] = field(default_factory=dict)
    mask: NDArray[np.bool_] | None = None

    @cached_property
    def x(self) -> NDArray[np.floating]:
        """The input with its batch axis; a model of several inputs has no single one."""
        if len(self.given.batch.feeds) != 1:
            raise InputError("this metric perturbs the input; it takes models with one input")
        return np.asarray(next(iter(self.given.batch.feeds.values())))

    @property
    def span(self) -> NDArray[np.floating] | float:
        """The size of a change: the range of a picture, each number of a vector."""
        return float(np.ptp(self.x)) or 1.0 if self.x.ndim > 2 else np.abs(self.x)

    @cached_property
    def plane(self) -> NDArray[np.floating]:
        """The strength of the map at the positions of the input: coarse maps are enlarged."""
        plane, wanted = strength(self.map), self._positions
        if plane.shape == wanted or plane.ndim != 2 or len(wanted) != 2:
            return plane
        return np.maximum(heatmap.resize(plane, (wanted[1], wanted[0])), 0)

    @property
    def _positions(self) -> tuple[int, ...]:
        shape = self.x.shape[1:]
        if len(shape) != 3:
            return shape
        channels = int(np.argmin(shape))
        return tuple(size for axis, size in enumerate(shape) if axis != channels)

    def over(self, chosen: NDArray) -> NDArray:
        """An array over positions as one over the input, the same for all channels."""
        if self.x.ndim != 4:
            return chosen.reshape(self.x.shape)
        return np.expand_dims(chosen, (0, 1 + int(np.argmin(self.x.shape[1:]))))

    def scores(self, inputs: NDArray) -> NDArray[np.floating]:
        """The target's score, of a class before a softmax, of each of many inputs."""
        return self._run(inputs, logits=True)

    def probabilities(self, inputs: NDArray) -> NDArray[np.floating]:
        """The probability of a class that is explained for each of many inputs; of any other target its score."""
        return self._run(inputs, logits=False)

    def attribution(
        self, x: NDArray, target: int | None = None, side: ModelUnderTest | None = None
    ) -> NDArray[np.floating]:
        """The method's map of another input, of another class, or by another model."""
        explainer = (side or self.side).explainers[self.method]
        name = next(iter(self.given.batch.feeds))
        found = explainer({name: x.astype(self.x.dtype)}, self.target.again if target is None else target)
        return finite(map_of(found), f"the map of {self.method} of a changed input, class or model")

    @cached_property
    def classes(self) -> int:
        return int(self.side.scores(self.given).size)

    def _run(self, inputs: NDArray, logits: bool) -> NDArray[np.floating]:
        chunk = self._at_once
        rows = np.concatenate([self._chunk(inputs[k : k + chunk]) for k in range(0, len(inputs), chunk)])
        place = self.target.place
        if place is None:
            return rows[:, 0]
        head = find_head(self.side.scored)
        if logits and head is not None and head.kind != "LogSoftmax":
            return _logit(rows, head.kind)[:, place]
        if not logits and head is None and rows.shape[1] > 1:
            return import_extra("scipy.special").softmax(rows, axis=1)[:, place]
        return rows[:, place]

    @cached_property
    def _at_once(self) -> int:
        """The number of inputs that fit an explainer's memory."""
        return max(1, min(CHUNK, self.side.explainers[self.method].memory // max(1, self.side.passes.row_bytes)))

    def _chunk(self, inputs: NDArray) -> NDArray[np.floating]:
        """The scores of classes, or the explained score alone, of inputs; as many at once as the model takes."""
        fixed = self.given.batch.fixed
        name = next(iter(self.given.batch.feeds))
        size = fixed or len(inputs)
        found = []
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size].astype(self.x.dtype)
            batch = Batch({name: part}, self.given.batch.axes, fixed)
            found.append(self._scores_of(batch).reshape(len(part), -1).astype(np.float64))
        return np.concatenate(found)

    def _scores_of(self, batch: Batch) -> NDArray:
        if self.target.place is None:
            return self.side.passes.of(self.target)(batch, self.target)
        session, y = self.side.passes.plain
        return session.run(batch.take(batch.fill(np.arange(batch.examples))), [y])[y][: batch.examples]


def _logit(rows: NDArray, activation: str) -> NDArray:
    """The logits behind the results of an activation, up to a constant of each row, which differences cancel."""
    tiny = np.clip(rows, 1e-12, 1 - 1e-12 if activation == "Sigmoid" else 1)
    return np.log(tiny / (1 - tiny)) if activation == "Sigmoid" else np.log(tiny)
