"""What requests ask of a model, and how those of one batch are run in its thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..attribution.result import Attribution
from ..attribution.scores import Settled
from ..data.batch import Prepared, concatenated
from ..errors import OnnxrayError
from .batcher import Stopped
from .served_model import ServedModel
from .targets import Wanted

__all__ = ["Explain", "Predict", "Runner"]

Stop = Callable[[], bool]
Outputs = Mapping[str, np.ndarray]
log = logging.getLogger("onnxray.serving")


@dataclass(frozen=True, eq=False)
class Predict:
    """The model's outputs for some rows."""

    model: ServedModel
    given: Prepared
    operation = "predict"

    @property
    def rows(self) -> int:
        return self.given.batch.examples

    @cached_property
    def key(self) -> Hashable | None:
        """Equal for rows of equal shapes; None where an output may not count rows."""
        joins = self.model.joins and not self.model.singles
        return (self.operation, _shapes(self.given)) if joins else None

    def together(self, works: Sequence[Predict], stop: Stop) -> Sequence[Outputs]:
        """The outputs of each; run alone, where an output has not the rows of all of them."""
        given = concatenated([one.given for one in works]) if len(works) > 1 else self.given
        found = self.model.predict(given)
        rows = given.batch.examples
        if not self.model.joins or len(works) == 1:
            return [found]
        self.model.singles.update(name for name, array in found.items() if not array.ndim or len(array) != rows)
        if self.model.singles:
            return [self.model.predict(one.given) for one in works]
        return [{name: array[part] for name, array in found.items()} for part in _parts(works)]


@dataclass(frozen=True, eq=False)
class Explain:
    """The maps of some rows by a method, for a target."""

    model: ServedModel
    given: Prepared
    method: str
    wanted: Wanted
    operation = "explain"

    @property
    def rows(self) -> int:
        return self.given.batch.examples

    @cached_property
    def key(self) -> Hashable | None:
        """Equal for rows of equal shapes, of one method and one kind of score; None for what is explained alone."""
        if self.wanted.places is None or not self.model.one_by_one[self.method]:
            return None
        return self.method, self.wanted.score.kind, _shapes(self.given)

    def together(self, works: Sequence[Explain], stop: Stop) -> Sequence[Attribution]:
        if len(works) == 1:
            return [self.model.explain(self.given, self.method, self.wanted.asked, stop)]
        places = [one.wanted.places for one in works if one.wanted.places is not None]
        score = Settled(self.wanted.score, np.concatenate(places))
        found = self.model.explain(concatenated([one.given for one in works]), self.method, score, stop)
        return [found[part] for part in _parts(works)]


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs a batch; what is wrong with one of its works fails that one alone. ``ran`` is told what each run took."""

    ran: Callable[[Any, int, float], None]

    def __call__(self, works: Sequence[Any], stop: Stop) -> list[Any]:
        """A result or an exception for each work."""
        start = time.perf_counter()
        try:
            return list(works[0].together(works, stop))
        except Stopped as error:
            return [error] * len(works)
        except OnnxrayError as error:
            if len(works) == 1:
                log.info("a run failed", extra={"model": works[0].model.name, "reason": str(error)})
                return [error]
            return [found for one in works for found in self([one], stop)]
        except Exception as error:
            log.exception("a run failed", extra={"model": works[0].model.name})
            return [error] * len(works)
        finally:
            self.ran(works[0], sum(one.rows for one in works), time.perf_counter() - start)


def _shapes(given: Prepared) -> Hashable:
    return tuple((name, array.shape[1:]) for name, array in given.batch.feeds.items())


def _parts(works: Sequence[Predict | Explain]) -> list[slice]:
    """The rows of each work in the batch of all of them."""
    ends = np.cumsum([one.rows for one in works]).tolist()
    return [slice(end - one.rows, end) for end, one in zip(ends, works, strict=True)]
