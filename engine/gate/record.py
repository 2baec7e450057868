"""Plain records of what a comparison and an evaluation found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..support.json_text import json_text
from .calibration import Calibration
from .layers.compare_layers import LayerReport
from .metrics.outputs import FOUND
from .pair import Pair
from .ranking import Ranked, rank_methods, ranked_by
from .summary import Check, Row, Summary, Verdict

__all__ = ["ComparisonRecord", "EvaluationRecord", "Failed", "Progress"]


Progress = Callable[[str, float], None]  # what is being done, and the share of samples that are


@dataclass(frozen=True)
class Failed:
    """A sample that could not be compared, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return self.reason if self.name in self.reason else f"{self.name}: {self.reason}"


class _Counted:
    """What is told of the number of samples."""

    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]

    @property
    def counted(self) -> str:
        """How many samples were measured and how many were skipped, in words."""
        one = "1 sample" if len(self.rows) == 1 else f"{len(self.rows)} samples"
        return one + (f", {len(self.failed)} skipped" if self.failed else "")


@dataclass(frozen=True, repr=False)
class ComparisonRecord(_Counted):
    """The results of a comparison: rows by sample, their summary, the checks of thresholds, and the verdict."""

    reference: str
    candidate: str
    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]
    summary: tuple[Summary, ...]
    checks: tuple[Check, ...]
    provenance: Mapping[str, Any]
    calibration: Calibration | None = None
    layers: LayerReport | None = None
    pair: Pair | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        """The models, the verdict and the first check that decided it, in one line."""
        first = next((one for one in self.checks if not one.passed), next(iter(self.checks), "no threshold"))
        names = " with ".join(Path(one).name for one in (self.reference, self.candidate))
        return f"Comparison({names}: {self.verdict.upper()}, {self.counted}, {first})"

    @property
    def verdict(self) -> Verdict:
        """ "fail" as soon as one threshold is not held."""
        return "pass" if self.passed else "fail"

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.checks)

    @property
    def explained(self) -> str:
        """How a target that is no class is compared, as top classes say nothing of it; "" for classes."""
        if all(isinstance(row.target, int) for row in self.rows):
            return ""
        found = any(FOUND in row.outputs for row in self.rows)
        how = "found in the candidate by its class and overlap" if found else "the same one of both models"
        names = dict.fromkeys(name for row in self.rows for name in row.outputs)
        return f"target {self.provenance.get('target')}, {how}; of the answers are compared {', '.join(names)}"

    @property
    def exit_code(self) -> int:
        """0: the gate passes, 1: it fails."""
        return 0 if self.passed else 1

    def value(self, method: str, metric: str) -> float:
        """The mean of a metric over the samples."""
        return next(one.mean for one in self.summary if (one.method, one.metric) == (method, metric))

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON takes it."""
        record: dict[str, Any] = {"verdict": self.verdict, "reference": self.reference, "candidate": self.candidate}
        record["checks"] = [{**asdict(one), "sure": one.sure} for one in self.checks]
        record["summary"] = [asdict(one) for one in self.summary]
        record["calibration"] = None if self.calibration is None else self.calibration.to_json()
        record["layers"] = None if self.layers is None else self.layers.to_json()
        record["samples"], record["failed"] = [asdict(one) for one in self.rows], [asdict(one) for one in self.failed]
        return record | {"provenance": dict(self.provenance)}

    def json_text(self) -> str:
        """The record as JSON, with null for what is no number."""
        return json_text(self.to_json(), indent=1)


@dataclass(frozen=True, repr=False)
class EvaluationRecord(_Counted):
    """The results of an evaluation: rows by sample, their summary, and mean deletion and insertion curves by method."""

    model: str
    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]
    summary: tuple[Summary, ...]
    curves: Mapping[str, Mapping[str, tuple[float, ...]]]
    provenance: Mapping[str, Any]
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The model, and the methods from the best on, in one line."""
        methods = " > ".join(one.method if one.rank else f"{one.method} (no rank)" for one in self.ranking)
        return f"Evaluation({Path(self.model).name}: {self.counted}, {methods} by {self.ranked_by})"

    @property
    def ranking(self) -> tuple[Ranked, ...]:
        """The methods, the best first; those of ``unmeasured`` come last, with the reason."""
        return rank_methods(
            dict.fromkeys(method for row in self.rows for method in row.maps),
            self.ranked_by,
            self.summary,
            self.unmeasured,
        )

    @property
    def ranked_by(self) -> str | None:
        """The number that ``ranking`` goes by."""
        return ranked_by(self.provenance["metrics"], {one.metric for one in self.summary})

    def value(self, method: str, metric: str) -> float:
        """The mean of a metric over the samples."""
        return next(one.mean for one in self.summary if (one.method, one.metric) == (method, metric))

    def json_text(self) -> str:
        """Everything as JSON."""
        ranking = {"ranked_by": self.ranked_by, "ranking": [asdict(one) for one in self.ranking]}
        return json_text(asdict(self) | ranking, indent=1)
