"""A comparison as Markdown, for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...support.writing import write_text
from ..record import ComparisonRecord

__all__ = ["markdown", "write_markdown"]

COLUMNS = ("method", "metric", "mean", "95 % interval", "worst")


def write_markdown(comparison: ComparisonRecord, path: Path) -> Path:
    """Writes the file; its folder is made where it is missing."""
    return write_text(path, markdown(comparison))


def markdown(comparison: ComparisonRecord) -> str:
    """The verdict, what decided it, the findings of the samples, and the table of the metrics."""
    return "\n".join([*_head(comparison), "", *_table(comparison), ""])


def _head(found: ComparisonRecord) -> Iterator[str]:
    sides = " and ".join(f"`{Path(one).name}`" for one in (found.reference, found.candidate))
    yield from (f"## onnxray compare: {found.verdict.upper()}", "", f"{sides}, {found.counted}.", "")
    yield from (f"- {'✅' if one.passed else '❌'} {_safe(one)}" for one in found.checks)
    yield from (f"- ❌ {_safe(row.name)}: {_safe(row.finding)}" for row in found.rows if row.finding)
    if found.layers and found.layers.breaks:
        yield f"- evidence breaks at layer {_safe(found.layers.breaks)}"


def _table(found: ComparisonRecord) -> Iterator[str]:
    yield _line(COLUMNS)
    yield _line(["---"] * len(COLUMNS))
    for one in found.summary:
        numbers = (f"{one.mean:.4f}", f"{one.low:.4f} to {one.high:.4f}", f"{one.worst:.4f}")
        yield _line([one.method, one.metric, *numbers])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _safe(text: object) -> str:
    """Names of files and layers, without what Markdown and HTML would read."""
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return "".join(f"\\{letter}" if letter in r"\`*_[]|" else letter for letter in escaped)
