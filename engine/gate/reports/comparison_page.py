"""The report of a comparison: one HTML page that needs no network, verdict first, provenance last."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...data.labels import Labels
from ...drawing import heatmap, html_page
from ...drawing.bar_chart import bar_chart, rank_features
from ...drawing.draw_box import with_box
from ...drawing.html_page import address, tile
from ...support.writing import write_text
from ..metrics.agreement import METRICS, strength
from ..metrics.inside_mask import MASKED
from ..metrics.outputs import OUTPUTS
from ..model_under_test import ModelUnderTest
from ..pair import Pair, SampleResult, resized
from ..record import ComparisonRecord
from ..side_session import session_words
from ..summary import OF_OUTPUTS, Row, rises
from .charts import calibration_chart, distribution_chart, layer_chart
from .graph_picture import graph_picture

__all__ = ["Shown", "boxed", "render", "write_report"]

TENSORS = 12  # quantised tensors in the table


@dataclass(frozen=True)
class Shown:
    """One of the worst samples: what is said of it, and its pictures with their captions."""

    row: Row
    method: str
    said: str
    pictures: tuple[tuple[str, str], ...]


def write_report(comparison: ComparisonRecord, folder: Path, worst: int = 6) -> Path:
    """Writes report.html into a folder, which is made where it is missing."""
    layers = comparison.layers
    page = render(
        "report.html",
        found=comparison,
        methods=list(dict.fromkeys(one.method for one in comparison.summary if one.method != OF_OUTPUTS)),
        cells={(one.method, one.metric): one for one in comparison.summary},
        metrics=[name for name in (*METRICS, *MASKED) if _measured(comparison, name)],
        outputs=[metric for name, metric in OUTPUTS.items() if _measured(comparison, name)],
        of_outputs=OF_OUTPUTS,
        distributions=lambda method: distribution_chart(comparison.rows, method),
        layer_chart=layer_chart(layers.layers, layers.breaks) if layers and layers.layers else None,
        graph_picture=_graph(comparison),
        label=partial(_label, comparison.pair.labels if comparison.pair else {}),
        tensors=layers.tensors[:TENSORS] if layers else (),
        calibration_chart=calibration_chart(comparison.calibration) if comparison.calibration else None,
        worst=list(_worst(comparison, worst)),
        correct=_correct(comparison.rows),
        sessions={side: session_words(told) for side, told in comparison.provenance.get("sessions", {}).items()},
        findings=[row for row in comparison.rows if row.finding],
    )
    return write_text(folder / "report.html", page)


def _graph(comparison: ComparisonRecord) -> str | None:
    """The picture of the reference's graph, where its layers were compared."""
    layers = comparison.layers
    if layers is None or not layers.layers:
        return None
    side = comparison.pair.reference if comparison.pair else None
    graph = side.model.graph if isinstance(side, ModelUnderTest) else None
    return graph_picture(layers.layers, graph, layers.breaks)


def _label(labels: Labels, index: int) -> str:
    """The name of a class, with its index."""
    name = labels.get(index)
    return str(index) if name is None else f"{name}, {index}"


def render(template: str, **values: Any) -> str:
    """A page from a template of this package; all text is escaped."""
    helpers = {"sign": lambda metric: "↑" if rises(metric) else "↓"}
    return html_page.render(__name__, template, "gate", **helpers, **values)


def _measured(comparison: ComparisonRecord, metric: str) -> bool:
    return any(one.metric == metric for one in comparison.summary)


def _correct(rows: tuple[Row, ...]) -> tuple[float, float] | None:
    """The accuracy of both models on the samples that have labels."""
    known = [row.correct for row in rows if row.correct is not None]
    return (float(np.mean([a for a, _ in known])), float(np.mean([b for _, b in known]))) if known else None


def _worst(comparison: ComparisonRecord, count: int) -> Iterator[Shown]:
    """The samples whose maps agree least, looked at again by the method that it is of: one after the other."""
    if comparison.pair is None:
        return
    ranked = sorted((row for row in comparison.rows if row.maps), key=lambda row: _lowest(row)[1])[:count]
    wanted: dict[str, list[Row]] = {}
    for row in ranked:
        wanted.setdefault(_lowest(row)[0], []).append(row)
    shown = {row.name: one for method, rows in wanted.items() for row, one in _looks(comparison.pair, method, rows)}
    yield from (shown[row.name] for row in ranked if row.name in shown)


def _looks(pair: Pair, method: str, rows: Sequence[Row]) -> Iterator[tuple[Row, Shown]]:
    """Each row with its pictures; the samples are walked once."""
    pair, left = pair.only(method), {row.name: row for row in rows}
    for sample in pair.samples:
        if row := left.pop(sample.name, None):
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # told when it was measured
                look = pair.look(sample)
            yield row, _shown(look, row, method)
        if not left:
            return


def _lowest(row: Row) -> tuple[str, float]:
    """The method whose maps agree least, by rank correlation or whatever was measured first."""
    found = []
    for method, values in row.maps.items():
        name = "spearman" if "spearman" in values else next(iter(values))
        found.append((method, values[name] if rises(name) else -values[name]))
    return min(found, key=lambda one: one[1])


def _shown(look: SampleResult, row: Row, method: str) -> Shown:
    a, b = look.reference.maps[method], look.candidate.maps[method]
    b = resized(b, a) if a.shape != b.shape else b
    said = ", ".join(f"{name} {value:.3f}" for name, value in row.maps[method].items())
    size = look.given.pictures[0].size if look.given.pictures else None
    pictures = _planes(a, b, size) if strength(a).ndim == 2 else _bars(a, b)
    if look.given.pictures:
        pictures.insert(0, ("input", boxed(look, look.given.pictures[0])))
    elif strength(a).ndim == 2:
        pictures.insert(0, ("input", boxed(look, _grey(next(iter(look.given.batch.feeds.values()))[0]))))
    return Shown(row, method, said, tuple((caption, address(tile(one))) for caption, one in pictures))


def boxed(look: SampleResult, picture: Image.Image) -> Image.Image:
    """The input with the explained box of each side, where a box is explained."""
    drawn = picture
    for name, corners in zip(("reference", "candidate"), look.boxes or (), strict=False):
        drawn = with_box(drawn, [side * drawn.width / picture.width for side in corners], name)
    return drawn


def _planes(a: np.ndarray, b: np.ndarray, size: tuple[int, int] | None) -> list[tuple[str, Image.Image]]:
    """Both maps, each on its own scale, and the difference of what is drawn, in the size of the picture."""
    x, y = (_sized(heatmap.normalise(strength(one)), size) for one in (a, b))
    return [
        ("reference", heatmap.colourise(x, "magma")),
        ("candidate", heatmap.colourise(y, "magma")),
        ("difference", heatmap.colourise(y - x, "bwr")),
    ]


def _sized(plane: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """A map that is smaller than its picture, such as that of a layer, at the picture's width and height."""
    if size is None or plane.shape[1] >= size[0]:
        return plane
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def _bars(a: np.ndarray, b: np.ndarray) -> list[tuple[str, Image.Image]]:
    return [(name, bar_chart(rank_features(one), name, top=8)) for name, one in (("reference", a), ("candidate", b))]


def _grey(array: np.ndarray) -> Image.Image:
    """An array as a picture, from its lowest to its highest value."""
    plane = np.asarray(array, np.float64)
    plane = plane.mean(axis=int(np.argmin(plane.shape))) if plane.ndim == 3 else np.atleast_2d(plane)
    return heatmap.colourise((plane - plane.min()) / (np.ptp(plane) or 1.0), "gray")
