"""The rows of a file's table together: which of its columns are one, and the chart of all rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..attribution.result import Attribution
from ..data.files import Given
from ..drawing.table_charts import TableChart, rows_title
from ..errors import RuntimeUnavailable
from ..support.writing import replacing
from .draw_files import Explained

__all__ = ["with_rows"]

FEWEST = 3  # rows in a chart of all; two are told from their own bars


def with_rows(found: Iterable[Explained], all_of_them: Attribution, given: Given, base: str) -> Iterator[Explained]:
    """The examples of a file; of three or more rows of a table the last one's record names the chart of all rows."""
    values, rows, count = all_of_them.values, given.inputs, len(all_of_them)
    if not given.features or not isinstance(rows, np.ndarray) or np.shape(values) != rows.shape or rows.ndim != 2:
        yield from found
        return
    chart = TableChart(values, rows, given.features)
    categories = chart.categories
    for k, one in enumerate(found):
        views = {
            name: replace(view, categories=categories) if view.kind == "vector" else view
            for name, view in one.views.items()
        }
        files = _drawn(chart, all_of_them, Path(f"{base}-rows.png")) if FEWEST <= count == k + 1 else ()
        yield replace(one, views=views, done=replace(one.done, files=(*one.done.files, *files)))


def _drawn(chart: TableChart, of: Attribution, file: Path) -> tuple[Path, ...]:
    try:
        picture = chart.beeswarm(rows_title(of.method, of.target))
    except RuntimeUnavailable as error:
        warnings.warn(f"there is no chart of all rows: {error}", UserWarning, stacklevel=2)
        return ()
    with replacing(file) as temporary:
        picture.save(temporary, format="PNG")
    return (file,)
