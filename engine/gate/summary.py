"""From the rows of samples to numbers with confidence intervals, and from these and thresholds to a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import InputError
from ..optional import import_extra
from ..support.choice import choose
from ..support.name_value import name_and_value
from .metrics.agreement import METRICS
from .metrics.inside_mask import MASKED
from .metrics.outputs import FOUND, OUTPUTS
from .metrics.quality import QUALITIES

__all__ = [
    "Check",
    "Corners",
    "Row",
    "Summary",
    "Verdict",
    "bootstrap",
    "check",
    "limits_of",
    "parse_thresholds",
    "summarise",
]

Verdict = Literal["pass", "fail"]
Corners = tuple[float, float, float, float]

RESAMPLES = 999
LEVEL = 0.95
OF_OUTPUTS = "outputs"  # stands where a method does
CALIBRATED = "calibrated"
TABLES = (METRICS, OUTPUTS, MASKED, QUALITIES)  # of all that is measured


@dataclass(frozen=True)
class Row:
    """One sample: its target, how far the answers agree, how far each method's maps do; by metric.

    ``target`` is the index of a class, or the text of another target, which ``--target`` reads again; ``explained``
    says it in words. ``boxes`` are those of reference and candidate in pixels of the model's input. ``finding``: why
    there are no maps to compare, as the candidate has not what the reference explains.
    """

    name: str
    target: int | str
    outputs: Mapping[str, float]
    maps: Mapping[str, Mapping[str, float]]
    label: int | None = None
    correct: tuple[bool, bool] | None = None
    explained: str = ""
    boxes: tuple[Corners, Corners] | None = None
    finding: str = ""

    def values(self) -> Iterable[tuple[str, str, float]]:
        """Method, metric and value of everything that was measured."""
        yield from ((OF_OUTPUTS, metric, value) for metric, value in self.outputs.items())
        for method, found in self.maps.items():
            yield from ((method, metric, value) for metric, value in found.items())


@dataclass(frozen=True)
class Summary:
    """A metric over all samples: mean, the interval that holds it with 95 % confidence, and the worst sample."""

    method: str
    metric: str
    mean: float
    low: float
    high: float
    worst: float
    count: int


@dataclass(frozen=True)
class Check:
    """A threshold and what it was held against."""

    method: str
    metric: str
    value: float
    threshold: float
    passed: bool
    interval: tuple[float, float] | None = None

    @property
    def sure(self) -> bool:
        """Whether the threshold lies outside of the interval of confidence."""
        return self.interval is None or not self.interval[0] <= self.threshold <= self.interval[1]

    def __str__(self) -> str:
        words = ("at least", "below") if rises(self.metric) else ("at most", "above")
        held = f"passes: {self.value:.4g} is {words[0]}" if self.passed else f"fails: {self.value:.4g} is {words[1]}"
        return f"{self.method} {self.metric} {held} {self.threshold:g}{self._doubt()}"

    def _doubt(self) -> str:
        """What the interval says, where it does not decide."""
        if self.sure or self.interval is None:
            return ""
        low, high = self.interval
        return f" (95 % interval {low:.4g} to {high:.4g} includes {self.threshold:g}: more samples would decide)"


def rises(metric: str) -> bool:
    """Whether more of a metric is better, as its table says."""
    return metric == CALIBRATED or next(table[metric].rises for table in TABLES if metric in table)


def summarise(rows: Sequence[Row], seed: int = 0) -> tuple[Summary, ...]:
    """Every metric of every method over the samples that have it."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        for method, metric, value in row.values():
            found.setdefault((method, metric), []).append(value)
    return tuple(_summary(method, metric, values, seed) for (method, metric), values in found.items())


def _summary(method: str, metric: str, values: Sequence[float], seed: int) -> Summary:
    low, high = bootstrap(values, seed)
    worst = min(values) if rises(metric) else max(values)
    return Summary(method, metric, float(np.mean(values)), low, high, float(worst), len(values))


def bootstrap(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The percentile interval of the mean (Efron, 1979, doi:10.1214/aos/1176344552); a point where nothing varies."""
    array = np.asarray(values, np.float64)
    if array.size < 2 or np.ptp(array) == 0:
        return float(array.mean()), float(array.mean())
    interval = import_extra("scipy.stats").bootstrap(
        (array,), np.mean, n_resamples=RESAMPLES, batch=100, confidence_level=LEVEL, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(interval.low), float(interval.high)


def parse_thresholds(given: Mapping[str, float] | Sequence[str] | None) -> dict[str, float]:
    """Thresholds from {"spearman": 0.8} or ["spearman=0.8", "grad-cam.ssim=0.7"]."""
    pairs = given.items() if isinstance(given, Mapping) else map(_typed, given or ())
    thresholds, masked = {}, [name for name, metric in MASKED.items() if metric.thresholds]
    for key, value in pairs:
        metric = key.rpartition(".")[2]
        choose(metric, (*METRICS, *OUTPUTS, *masked, CALIBRATED), "metric for fail-under")
        thresholds[key] = _number(key, value)
    return thresholds


def limits_of(thresholds: Mapping[str, float], rows: Sequence[Row]) -> dict[str, float]:
    """The thresholds with that of what the candidate must have; without those of maps where no sample has maps."""
    wanted = {FOUND: 1.0} if any(FOUND in row.outputs for row in rows) else {}
    held = wanted | dict(thresholds)
    return held if any(row.maps for row in rows) else {key: one for key, one in held.items() if key in OUTPUTS}


def check(
    thresholds: Mapping[str, float], summary: Iterable[Summary], calibrated: Mapping[str, float]
) -> tuple[Check, ...]:
    """Every threshold against every method that it is for."""
    lines = [(one.method, one.metric, one.mean, _interval(one)) for one in summary]
    lines += [(method, CALIBRATED, value, None) for method, value in calibrated.items()]
    found = []
    for key, threshold in thresholds.items():
        wanted, _, metric = key.rpartition(".")
        held = [line for line in lines if line[1] == metric and wanted in ("", line[0])]
        if not held:
            raise InputError(f"fail-under {key!r}: {_unmeasured(metric)}")
        for method, _, value, interval in held:
            passed = value >= threshold if rises(metric) else value <= threshold
            found.append(Check(method, metric, value, threshold, bool(passed), interval))
    return tuple(found)


def _interval(one: Summary) -> tuple[float, float] | None:
    """The interval of confidence; a box that a sample lacks is sure."""
    return None if one.metric == FOUND else (one.low, one.high)


def _unmeasured(metric: str) -> str:
    if metric == CALIBRATED:
        return "nothing was calibrated; add --calibrate"
    return "add --masks" if metric in MASKED else "this metric was not measured on these maps"


def _typed(text: str) -> tuple[str, Any]:
    return name_and_value(text, "fail-under", "METRIC=VALUE", "spearman=0.8 or grad-cam.ssim=0.7")


def _number(key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise InputError(f"fail-under {key}={value!r}: give a number")
    return number
