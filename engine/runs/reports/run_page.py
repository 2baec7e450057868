"""The report of a run: one HTML page that needs no network, counts first, provenance last."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...drawing.html_page import address, render, tile
from ...drawing.kinds import Kind
from ...drawing.styles import Look
from ...drawing.views import View, draw, scales_of
from ...support.writing import write_text
from ..run_table import RunTable
from .run_charts import class_chart, histogram
from .run_statistics import Example, run_statistics

__all__ = ["write_run_report"]

LONG = 256  # elements: a map without axes of a plane is a curve from here on, as nobody reads bars of so many
KINDS: Mapping[int, Kind] = {1: "vector", 2: "picture", 3: "volume"}  # by the number of a map's axes


def write_run_report(run: RunTable, file: Path, examples: int = 6) -> Path:
    """Writes the page; its folder is made where it is missing."""
    found = run_statistics(run, examples)
    kinds = [
        ("Best examples", "The highest scores.", found.best),
        ("Worst examples", "The lowest scores.", found.worst),
        ("Largest gaps", "Where the values and the change of the score differ most.", found.gaps),
    ]
    outliers = ("Outliers", "The maps that are farthest from the mean map of their class.", found.outliers)
    page = render(
        __name__, "run_report.html", "run", found=found, manifest=run.manifest, left=run.manifest.samples - found.rows,
        charts=dict(_charts(found)), classes=[(one, _pictures(one.mean)) for one in found.classes],
        groups=[(title, said, list(map(_shown, held))) for title, said, held in (outliers, *kinds) if held],
        settings=run.manifest.settings,
    )  # fmt: skip
    return write_text(file, page)


def _charts(found: Any) -> Iterator[tuple[str, str]]:
    if len(found.scores):
        yield "score", histogram(found.scores, "score of what was explained")
    if len(found.deltas):
        yield "gap of completeness", histogram(found.deltas, "values less change of the score")
    if len(found.distances):
        yield "distance to the class", histogram(found.distances, "1 − cosine of the coarse maps")
    if len(found.classes) > 1:
        yield "classes", class_chart(found.classes)


def _shown(example: Example) -> dict[str, Any]:
    """What is said of a sample, with its pictures and their captions."""
    row, pictures = example.row, _pictures(example.map)
    picture = _source(row["source"])
    return {
        "row": row,
        "distance": example.distance,
        "pictures": ([("input", address(tile(picture)))] if picture is not None else []) + pictures,
    }


def _pictures(values: NDArray[np.float32] | None) -> list[tuple[str, str]]:
    """A map as a picture, or none where it has no axis or more than three."""
    if values is None or values.ndim not in KINDS or not values.size:
        return []
    kind = "series" if values.ndim == 1 and values.size >= LONG else KINDS[values.ndim]
    view = View(kind, values, plain="magma", smooth=False)
    return [("map", address(tile(draw(view, scales_of([{"": view}], None, 99.5)[""], Look("map")))))]


def _source(source: str | None) -> Image.Image | None:
    """The picture of a sample, where it is a file that is still there."""
    if source is None or not Path(source).is_file():
        return None
    try:
        with warnings.catch_warnings(), Image.open(source) as picture:
            warnings.simplefilter("ignore")
            picture.thumbnail((448, 448))
            return picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
