"""Methods in the order of a metric, each with what the sanity checks say of its maps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .metrics.quality import QUALITIES
from .summary import Summary, rises

__all__ = ["FAITHFULNESS", "Ranked", "rank_methods", "ranked_by", "sanity"]

FAITHFULNESS = "insertion - deletion"  # of the areas under the two curves; more is better
PASSES, UNKNOWN = "passes", "not measured"


@dataclass(frozen=True)
class Ranked:
    """A method in the table of methods: its rank from 1 on, the number that it is ranked by, its mean of each metric,
    and what the sanity checks say; without a rank the reason why it has none."""

    method: str
    rank: int | None
    score: float | None
    values: Mapping[str, float]
    sanity: str
    reason: str = ""


def rank_methods(
    methods: Iterable[str], by: str | None, summary: Iterable[Summary], unmeasured: Mapping[str, str]
) -> tuple[Ranked, ...]:
    """The measured methods, the best first, then those without a rank; ``unmeasured`` has the reason of others."""
    means: dict[str, dict[str, float]] = {method: {} for method in methods}
    for one in summary:
        means[one.method][one.metric] = one.mean
    scores = {method: score for method, values in means.items() if (score := _score(values, by)) is not None}
    up = by == FAITHFULNESS or (by is not None and rises(by))
    order = sorted(scores, key=lambda method: -scores[method] if up else scores[method])
    found = [_ranked(method, means[method], scores, up) for method in order]
    reason = "no metric has a value" if by is None else f"{by} has no value"
    found += [_without_rank(method, values, reason) for method, values in means.items() if method not in scores]
    return (*found, *(Ranked(method, None, None, {}, UNKNOWN, reason) for method, reason in unmeasured.items()))


def ranked_by(metrics: Collection[str], measured: Collection[str]) -> str | None:
    """The number that methods are ranked by: insertion minus deletion if both are among the metrics that were chosen,
    or else the first metric that was measured."""
    both = {"insertion", "deletion"} <= set(metrics)
    return FAITHFULNESS if both else next((name for name in QUALITIES if name in measured), None)


def sanity(values: Mapping[str, float]) -> str:
    """What the checks that were measured say: "passes", or what the maps hardly depend on."""
    checks = {name: one for name, one in QUALITIES.items() if one.fails_at is not None and name in values}
    blind = [one.blind_to for name, one in checks.items() if one.fails_at is not None and values[name] >= one.fails_at]
    return f"fails: blind to {' and '.join(blind)}" if blind else PASSES if checks else UNKNOWN


def _score(values: Mapping[str, float], by: str | None) -> float | None:
    if by == FAITHFULNESS:
        return values["insertion"] - values["deletion"] if {"insertion", "deletion"} <= values.keys() else None
    return None if by is None else values.get(by)


def _ranked(method: str, values: Mapping[str, float], scores: Mapping[str, float], up: bool) -> Ranked:
    own = scores[method]
    better: Sequence[float] = [other for other in scores.values() if (other > own if up else other < own)]
    return Ranked(method, 1 + len(better), own, values, sanity(values))


def _without_rank(method: str, values: Mapping[str, float], reason: str) -> Ranked:
    return Ranked(method, None, None, values, sanity(values), reason)
