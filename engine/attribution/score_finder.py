"""ScoreFinder: the axes of a model's scores for the inputs at hand, from shapes or from runs of the model as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..data.batch import Prepared
from ..errors import ModelError
from ..graph.model import Model, is_float
from ..runtime import Provider, Session
from .axes import Shapes, batch_axis, declared_axes, fixed_batch, is_mixed, probed_axes, score_axes
from .score import open_scores, row_scores
from .score_axes import ScoreAxes, axes_at

__all__ = ["ScoreFinder"]

REMEMBERED = 256  # shapes of inputs whose axes are kept


@dataclass(frozen=True, eq=False)
class ScoreFinder:
    """Finds which axis of the scores counts examples, once for inputs of one shape."""

    model: Model
    score: str
    providers: Sequence[Provider] | Provider | None = None
    threads: int | None = None
    found: dict[Any, ScoreAxes] = field(default_factory=dict)

    def __call__(self, given: Prepared, shapes: Shapes) -> ScoreAxes:
        """The axes for these inputs; sizes that only a run tells are those of their first example."""
        several = given.batch.examples > 1
        key = (several, *((name, tuple(shape)) for name, shape in shapes.items()))
        if key not in self.found:
            found = self._find(given, shapes)
            if len(self.found) >= REMEMBERED:
                self.found.pop(next(iter(self.found)))
            self.found[key] = found
        scores = self.found[key]
        return scores if None not in scores.shape else self._sized(scores, given)

    @cached_property
    def declared(self) -> ScoreAxes | None:
        """The axes as the declared shapes tell for sure, for any number of examples; None where they do not."""
        return declared_axes(self.model, self.score)

    @property
    def known(self) -> ScoreAxes:
        """The axes that were found last, or those without any inputs; a ModelError if they cannot be found without."""
        if self.found:
            return self._with_declared_sizes(next(reversed(self.found.values())))
        mixed = is_mixed(self.model)
        found = None if mixed else self.declared or declared_axes(self.model, self.score, None, 1)
        if found is None and not mixed and self._drawn is not None:
            found = probed_axes(self.model, self.score, self._run, *self._drawn)
        if found is None:
            raise ModelError(
                f"which axis of the scores {row_scores(self.model, self.score).name!r} counts examples is known when "
                "the model has run; explain an input first"
            )
        return found

    def _with_declared_sizes(self, scores: ScoreAxes) -> ScoreAxes:
        """The axes with the sizes that the model declares, where runs left them open."""
        y = row_scores(self.model, self.score)
        if y.shape is None or len(y.shape) != len(scores.shape) + (scores.axis is not None):
            return scores
        declared = axes_at(scores.tensor, list(y.shape), scores.axis).shape
        sizes = zip(scores.shape, declared, strict=True)
        return replace(scores, shape=tuple(size if size is not None else said for size, said in sizes))

    def _find(self, given: Prepared, shapes: Shapes) -> ScoreAxes:
        batch, several = given.batch, given.batch.examples > 1
        known = None if shapes else self.declared
        declared = known or declared_axes(self.model, self.score, shapes, batch.examples)
        if declared is not None and not (several and not declared.whole and is_mixed(self.model)):
            return declared
        try:
            _ = self._session
        except ModelError:  # what cannot be loaded is explained no more than run: its builder says why
            return score_axes(self.model, self.score)
        found = probed_axes(self.model, self.score, self._run, batch.feeds, batch.axes, declared)
        found = found if declared is not None else self._lasting(found)
        if None not in found.shape:
            vars(self).pop("_session")  # which holds all weights once more
        return found

    def _lasting(self, found: ScoreAxes) -> ScoreAxes:
        """The axes with the sizes that the model declares, too: what a run alone tells may differ for another input."""
        said = self._with_declared_sizes(replace(found, shape=(None,) * len(found.shape))).shape
        sizes = zip(found.shape, said, strict=True)
        return replace(found, shape=tuple(size if size == declared else None for size, declared in sizes))

    def _sized(self, scores: ScoreAxes, given: Prepared) -> ScoreAxes:
        batch = given.batch
        feeds = batch.feeds if scores.whole else batch.take(batch.fill(np.arange(1)))
        return axes_at(scores.tensor, list(self._run(feeds).shape), scores.axis, scores.whole)

    @cached_property
    def _session(self) -> tuple[Session, str]:
        return open_scores(self.model, row_scores(self.model, self.score), self.providers, self.threads)

    def _run(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        session, y = self._session
        return session.run(feeds, [y])[y]

    @cached_property
    def _drawn(self) -> tuple[dict[str, np.ndarray], dict[str, int | None]] | None:
        """Random inputs with the axes that count examples; None where a size is open or integers are asked for."""
        axes = {str(value.name): batch_axis(self.model, value) for value in self.model.inputs}
        feeds, rng = {}, np.random.default_rng(0)
        for value in self.model.inputs:
            dims = list(value.shape) if value.shape is not None else [None]
            sizes: list[Any] = [
                (fixed_batch(self.model) or 2) if k == axes[str(value.name)] else d for k, d in enumerate(dims)
            ]
            if not is_float(value) or value.dtype is None or not all(isinstance(n, int) for n in sizes):
                return None
            feeds[str(value.name)] = rng.standard_normal([int(n) for n in sizes]).astype(value.dtype.numpy())
        return feeds, axes
