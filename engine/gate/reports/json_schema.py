"""The schemas of the JSON that ``compare`` and ``evaluate`` write, made from the records themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec

from ..calibration import Scale
from ..layers.compare_layers import LayerReport
from ..ranking import Ranked
from ..record import Failed
from ..summary import Row, Summary, Verdict

__all__ = ["comparison_schema", "evaluation_schema"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"


class CheckJson(TypedDict):
    """A threshold, and what it was held against; ``sure``: the interval of 95 % confidence does not include it."""

    method: str
    metric: str
    value: float
    threshold: float
    passed: bool
    interval: tuple[float, float] | None
    sure: bool


class CalibrationJson(TypedDict):
    """The calibrated score of each method, the scale of each metric, and where the candidate stands on it."""

    scores: Mapping[str, float]
    scales: tuple[Scale, ...]
    samples: int
    places: Mapping[str, Mapping[str, float]]


class ComparisonJson(TypedDict):
    """What ``onnxray compare --json`` writes."""

    verdict: Verdict
    reference: str
    candidate: str
    checks: tuple[CheckJson, ...]
    summary: tuple[Summary, ...]
    calibration: CalibrationJson | None
    layers: LayerReport | None
    samples: tuple[Row, ...]
    failed: tuple[Failed, ...]
    provenance: Mapping[str, Any]


class EvaluationJson(TypedDict):
    """What ``onnxray evaluate --json`` writes; ``ranking`` has the best method first."""

    model: str
    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]
    summary: tuple[Summary, ...]
    curves: Mapping[str, Mapping[str, tuple[float, ...]]]
    provenance: Mapping[str, Any]
    unmeasured: Mapping[str, str]
    ranked_by: str | None
    ranking: tuple[Ranked, ...]


def comparison_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a comparison."""
    return _schema(ComparisonJson)


def evaluation_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of an evaluation."""
    return _schema(EvaluationJson)


def _schema(record: type) -> dict[str, Any]:
    return {"$schema": DRAFT, **_with_null(msgspec.json.schema(record))}


def _with_null(part: Any) -> Any:
    """Numbers that may be null, as JSON has no word for NaN."""
    if isinstance(part, list | tuple):
        return [_with_null(one) for one in part]
    if not isinstance(part, dict):
        return part
    wider = {"type": ["number", "null"]} if part.get("type") == "number" else {}
    return {key: _with_null(value) for key, value in part.items()} | wider
