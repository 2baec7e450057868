"""ScoreFinder: the axes of a model's scores for the inputs at hand, from shapes or from runs of the model as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir

from ..data.batch import Prepared
from ..errors import ExecutionError, ModelError
from ..graph.model import Model, is_float
from ..runtime import Session, SessionSettings
from .axes import Shapes, batch_axis, declared_axes, fixed_batch, is_mixed, probed_axes, score_axes
from .score import open_scores, row_scores
from .score_axes import ScoreAxes, axes_at

__all__ = ["ScoreFinder"]

REMEMBERED = 256  # shapes of inputs whose axes are kept
LENGTH = 8  # tokens of a drawn example


@dataclass(frozen=True, eq=False)
class ScoreFinder:
    """Finds which axis of the scores counts examples, once for inputs of one shape."""

    model: Model
    score: str
    settings: SessionSettings = field(default_factory=SessionSettings)
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
        if found is None and not mixed:
            found = self._probed
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
        return open_scores(self.model, row_scores(self.model, self.score), self.settings)

    def _run(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        session, y = self._session
        return session.run(feeds, [y])[y]

    @cached_property
    def _probed(self) -> ScoreAxes | None:
        """The axes as runs with random inputs tell; None where there are none, or where the model refuses integers."""
        if self._drawn is None:
            return None
        feeds, axes = self._drawn
        try:
            found = probed_axes(self.model, self.score, self._run, feeds, axes)
        except ExecutionError:
            if all(map(is_float, self.model.inputs)):
                raise
            return None
        finally:
            vars(self).pop("_session", None)  # which holds all weights once more
        made_up = [x for x in self.model.inputs if None in _sizes(x, axes[str(x.name)])]
        return self._lasting(found) if made_up else found

    @cached_property
    def _drawn(self) -> tuple[dict[str, np.ndarray], dict[str, int | None]] | None:
        """Random inputs with the axes that count examples; None where there are none of a kind.

        Ids of tokens, their types and masks know 0 and 1, at any length; of a picture no size is made up.
        """
        axes = {str(value.name): batch_axis(self.model, value) for value in self.model.inputs}
        feeds, rng = {}, np.random.default_rng(0)
        for value in self.model.inputs:
            kind = np.dtype(object if value.dtype is None else value.dtype.numpy())
            counts = kind.kind in "iub" and value.shape is not None
            said = _sizes(value, axes[str(value.name)], fixed_batch(self.model) or 2)
            sizes: list[Any] = [LENGTH if size is None and counts else size for size in said]
            if None in sizes or not (counts or is_float(value)):
                return None
            drawn = rng.integers(2, size=sizes) if counts else rng.standard_normal(sizes)
            feeds[str(value.name)] = drawn.astype(kind)
        return feeds, axes


def _sizes(value: ir.Value, axis: int | None, examples: int = 1) -> list[Any]:
    """The sizes of an input with so many examples, None for those that it leaves open."""
    if value.shape is None:
        return [None]
    return [examples if k == axis else d if isinstance(d, int) else None for k, d in enumerate(value.shape)]
