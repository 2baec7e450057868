"""The demonstration: the shipped models on the shipped picture and table, several methods side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..attribution.axes import score_axes
from ..attribution.result import Attribution
from ..data.labels import labels_of
from ..drawing import heatmap
from ..explainer import Explainer
from ..loading.load import load
from ..support.writing import make_folder, replacing
from .console_text import result_lines
from .explain_files import Job
from .options import Out
from .terminal import say

__all__ = ["demo"]

METHODS = ("saliency", "guided-backprop", "integrated-gradients", "smoothgrad", "grad-cam", "occlusion")


def demo(out: Out = Path("onnxray-demo")) -> None:
    """Explain the models that come with onnxray, on a digit and a table; no network.

    \b
    Example:
      onnxray demo --out /tmp/demo
    """
    for line in run_demo(make_folder(out)):
        say(line)


def run_demo(out: Path) -> Iterator[str]:
    """Explains a digit with several methods and two rows of a table, yielding what was found and written."""
    yield from explain_digit(out)
    yield from explain_table(out)


def explain_digit(out: Path) -> Iterator[str]:
    """The digit by every method, each in a figure of its own, and a sheet of them all."""
    from onnxray.models import path

    model, maps = load(path("digits.onnx")), []
    scores = score_axes(model, "logit")
    for name in METHODS:
        job = Job(Explainer(model, name), "top1", labels_of(model), scores, out)
        for done in job.of_file(path("digit.png"), "digit"):
            maps.append(done.attribution)
            yield from result_lines(done)
    sheet = out / "digit-methods.png"
    with replacing(sheet) as temporary:
        methods_sheet(maps).save(temporary)
    yield f"all of them side by side -> {sheet}"
    yield f"by hand: onnxray explain {path('digits.onnx')} {path('digit.png')} --method guided-backprop"
    yield ""


def explain_table(out: Path) -> Iterator[str]:
    """Two rows of measures of cell nuclei, one malignant and one benign."""
    from onnxray.models import path

    model = load(path("breast_cancer.onnx"))
    job = Job(Explainer(model, "integrated-gradients"), "top1", labels_of(model), score_axes(model, "logit"), out)
    for done in job.of_file(path("breast_cancer.csv"), "breast_cancer"):
        yield from result_lines(done)
    yield f"by hand: onnxray explain {path('breast_cancer.onnx')} {path('breast_cancer.csv')} -m integrated-gradients"


def methods_sheet(maps: list[Attribution]) -> heatmap.Image.Image:
    """The picture and its maps by several methods, in a row with captions."""
    pictures = [maps[0].pictures[0], *(one.image(style="map") for one in maps)]
    return heatmap.side_by_side(pictures, ["input", *(one.method for one in maps)], tile=168)
