"""The report of an evaluation: one HTML page with a table, curves and distributions."""

from __future__ import annotations

from pathlib import Path

from ...support.writing import write_text
from ..metrics.quality import QUALITIES
from ..record import EvaluationRecord
from .charts import curves_chart, distribution_chart
from .comparison_page import render

__all__ = ["write_evaluation"]


def write_evaluation(found: EvaluationRecord, folder: Path) -> Path:
    """Writes evaluation.html into a folder, which is made where it is missing."""
    methods = list(dict.fromkeys(one.method for one in found.summary))
    page = render(
        "evaluation.html",
        found=found,
        methods=methods,
        metrics=[name for name in QUALITIES if any(one.metric == name for one in found.summary)],
        cells={(one.method, one.metric): one for one in found.summary},
        said={name: quality.about for name, quality in QUALITIES.items()},
        curves={
            name: curves_chart(held, str(QUALITIES[name].across), _up(found)) for name, held in found.curves.items()
        },
        distributions={method: distribution_chart(found.rows, method) for method in methods},
    )
    return write_text(folder / "evaluation.html", page)


def _up(found: EvaluationRecord) -> str:
    """What a curve shows."""
    return "probability" if all(isinstance(row.target, int) for row in found.rows) else "share of the score's change"
