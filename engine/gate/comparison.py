"""compare(): do two models look at the same evidence?"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import InputError, ModelError, OnnxrayError, OutputError, RuntimeUnavailable
from .calibration import Calibration
from .journal import open_journal
from .layers.compare_layers import LayerReport
from .pair import Pair
from .summary import Check, Row, Summary, Verdict

__all__ = ["Comparison", "Failed", "Progress", "as_json", "at_least_one", "measure", "warn_of_one_method"]

Progress = Callable[[str, float], None]  # what is being done, and the share of samples that are


@dataclass(frozen=True)
class Failed:
    """A sample that could not be compared, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return self.reason if self.name in self.reason else f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What a comparison found: rows by sample, their summary, the checks of thresholds, and the verdict.

    ``failed`` are the samples that were skipped. ``calibration`` and ``layers`` are there if they were asked for.
    ``provenance`` says what was run how. ``report`` and ``junit`` write files.
    """

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

    @property
    def verdict(self) -> Verdict:
        """ "fail" as soon as one threshold is not held."""
        return "pass" if self.passed else "fail"

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.checks)

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
        return as_json(self.to_json())

    def report(self, folder: str | PathLike[str], worst: int = 6) -> Path:
        """Writes one self-contained HTML page into a folder."""
        from .reports.comparison_page import write_report

        return write_report(self, Path(folder), worst)

    def junit(self, path: str | PathLike[str]) -> Path:
        """Writes the checks as JUnit XML, which CI servers show."""
        from .reports.junit import write_junit

        return write_junit(self, Path(path))


def measure(
    pair: Pair, journal: Path | None, about: Mapping[str, Any], failed: Callable[[Failed], None], step: Progress | None
) -> Iterator[Row]:
    """The rows of all samples but those that fail, which ``failed`` hears of; those in the journal are not redone."""
    with open_journal(journal, about) as book:
        for index, sample in zip(count(), pair.samples, strict=False):
            if step:
                step(sample.name, index / len(pair.samples))
            try:
                key = book.key(index, sample)
                row = book.done.get(key) or pair.row(sample)
            except (ModelError, OutputError, RuntimeUnavailable):
                raise
            except (OnnxrayError, OSError) as error:
                failed(Failed(sample.name, " ".join(str(error).split())))
                continue
            if key not in book.done:
                book.add(key, row)
            yield row


def at_least_one(rows: Sequence[Row], failed: Sequence[Failed]) -> None:
    """Nothing can be concluded from nothing."""
    if not rows:
        raise InputError(f"none of {len(failed)} samples could be compared; the first: {failed[0] if failed else '-'}")


def warn_of_one_method(methods: Sequence[str]) -> None:
    """Guided backprop and deconvnet alone show little of what a model learned."""
    if set(methods) <= {"guided-backprop", "deconvnet"}:
        warnings.warn(
            f"{' and '.join(methods)} alone: its maps hardly depend on the weights (Adebayo et al., 2018), so two "
            "different models agree; add saliency or integrated-gradients",
            UserWarning,
            stacklevel=3,
        )


def as_json(record: Mapping[str, Any]) -> str:
    """A record as JSON text."""
    return json.dumps(_finite(record), indent=1, default=str)


def _finite(record: Any) -> Any:
    if isinstance(record, float):
        return record if math.isfinite(record) else None
    if isinstance(record, Mapping):
        return {key: _finite(value) for key, value in record.items()}
    return [_finite(value) for value in record] if isinstance(record, list | tuple) else record
