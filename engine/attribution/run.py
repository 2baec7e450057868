"""Running rows: every example at every point, cut to a memory budget, summed into attributions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..data.batch import Batch
from ..errors import InputError, ModelError
from ..runtime import OpenSession
from .plan import ExplanationGraph

__all__ = ["MissingTarget", "Progress", "Sums", "by_row", "run_samples"]

Progress = Callable[[int, int], None]


class MissingTarget(InputError):
    """What is to be explained is not there in an example, such as a box that a detector does not find."""


@dataclass(frozen=True)
class Sums:
    """The totals by name, and each example's settled target and scores (N, points); of the examples themselves the
    model's outputs in each run of so many ``rows``, if they are kept, and the gaps between their scores and a float32
    shadow's, if there is one; of methods that are complete each example's ``delta``."""

    values: dict[str, np.ndarray]
    settled: np.ndarray
    scores: np.ndarray
    outputs: list[dict[str, np.ndarray]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    delta: np.ndarray | None = None


def run_samples(
    session: OpenSession,
    plan: ExplanationGraph,
    batch: Batch,
    target: np.ndarray,
    limit: int,
    progress: Progress | None = None,
    keep: bool = False,
    missing: Callable[[np.ndarray, np.ndarray], str | None] | None = None,
) -> Sums:
    """The totals of all rows, at most ``limit`` of them in one run, summed over the points of each example.

    ``target`` (N, ...) selects the score of each example, see ``Score``. ``keep``: the model's outputs, too, of the
    runs at point 0. ``missing`` says why settled targets of examples are not there.
    """
    count = next((len(array) for array in plan.points.values()), 1)
    delta = np.zeros(batch.examples) if plan.delta is not None else None
    sums = Sums({}, target.copy(), np.zeros((batch.examples, count), np.float32), delta=delta)
    taken: tuple[np.ndarray, dict[str, np.ndarray]] = np.empty(0), {}
    done = 0
    turns = limit // batch.examples * batch.examples or limit  # whole turns are summed at once
    for rows, places in _chunks(batch.examples, count, turns if batch.fixed is None else batch.fixed):
        filled = batch.fill(rows)
        fed = filled[: batch.examples] if plan.shares_examples else filled
        if not np.array_equal(fed, taken[0]):  # the examples of a run are often those of the run before
            taken = fed, batch.take(fed)
        feeds = _feeds(plan, taken[1], sums, filled, batch.fill(places)) | {plan.target: sums.settled[fed]}
        results = session.run(feeds, plan.fetched(places[0] == 0, keep))
        _check_examples(plan, results, len(fed))
        _collect(plan, batch, sums, rows, places, results)
        if missing and places[0] == 0 and (why := missing(sums.settled[rows], rows)):
            raise MissingTarget(why)
        if plan.gap is not None and places[0] == 0:
            sums.gaps.extend(results[plan.gap][: len(rows)].tolist())
        if keep and places[0] == 0:
            sums.outputs.append({name: results[name] for name in plan.outputs})
            sums.rows.append(len(batch.fill(rows)))
        done += len(rows)
        if progress:
            progress(done, batch.examples * count)
    return replace(sums, values={name: total.astype(np.float32, copy=False) for name, total in sums.values.items()})


def _chunks(examples: int, count: int, limit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Example and point of each row; all examples at point 0 come first, as they determine the targets."""
    everything = np.arange(examples * count)
    for group in (everything[:examples], everything[examples:]):
        for start in range(0, len(group), limit):
            row = group[start : start + limit]
            yield row % examples, row // examples


def _feeds(
    plan: ExplanationGraph,
    inputs: Mapping[str, np.ndarray],
    sums: Sums,
    rows: np.ndarray,
    places: np.ndarray,
) -> dict[str, np.ndarray]:
    in_order = places[-1] - places[0] == len(places) - 1  # a slice copies nothing
    chosen = slice(places[0], places[-1] + 1) if in_order else places
    feeds = {**inputs} | {name: array[chosen] for name, array in plan.points.items()}
    if plan.points:
        feeds[plan.reference] = sums.scores[rows, 0]
    return feeds


def _check_examples(plan: ExplanationGraph, results: Mapping[str, np.ndarray], examples: int) -> None:
    if (told := int(results[plan.examples][0])) != examples:
        raise ModelError(
            f"axis {plan.scores.axis} of the scores {plan.scores.tensor!r} was taken to count examples, but there were "
            f"{told} for {examples} examples; name a tensor whose axis does by score="
        )


def _collect(
    plan: ExplanationGraph,
    batch: Batch,
    sums: Sums,
    rows: np.ndarray,
    places: np.ndarray,
    results: Mapping[str, np.ndarray],
) -> None:
    keep, scores = len(rows), results[plan.score]
    sums.scores[rows, places] = scores if len(scores) == keep else np.resize(scores, keep)  # turns may share them
    if places[0] == 0:  # the input itself settles the target; other points keep it
        sums.settled[rows] = results[plan.settled][:keep]
    if sums.delta is not None:
        np.add.at(sums.delta, rows, results[str(plan.delta)][:keep].astype(np.float64))
    for name, output in plan.totals.items():
        parts = by_row(results[output], plan.row_axis(name))
        if not plan.points:  # one row of each example: nothing to add up
            if keep == batch.examples:
                sums.values[name] = parts[:keep]
                continue
            values = sums.values.setdefault(name, np.empty((batch.examples, *parts.shape[1:]), parts.dtype))
            values[rows[0] : rows[0] + keep] = parts[:keep]
            continue
        total = sums.values.setdefault(name, np.zeros((batch.examples, *parts.shape[1:])))
        _add(total, rows, parts[:keep])


def _add(total: np.ndarray, rows: np.ndarray, parts: np.ndarray) -> None:
    """Adds a part to the total of each row's example; whole turns, in which each example has one row, at once."""
    whole = len(rows) // len(total) * len(total) if rows[0] == 0 else 0
    if whole:
        total += parts[:whole].reshape(-1, *total.shape).sum(0, dtype=np.float64)
    for row, part in zip(rows[whole:], parts[whole:], strict=True):
        total[row] += part


def by_row(array: np.ndarray, axis: int | None) -> np.ndarray:
    """A total with its rows first; of an input that no axis counts there is one."""
    return array[None] if axis is None else array if axis == 0 else np.moveaxis(array, axis, 0)
