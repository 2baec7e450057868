"""``onnxray report``: a page of what a run over a data set found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ..runs import read_run
from .terminal import say

__all__ = ["report_run"]


def report_run(
    folder: Annotated[Path, Argument(metavar="DIR", help="Folder of a run, finished or not.", show_default=False)],
    out: Annotated[
        Path | None, Option(metavar="FILE", help="The page; report.html in DIR by default.", show_default=False)
    ] = None,
    examples: Annotated[int, Option(help="Samples of each kind that are shown.", min=1)] = 6,
) -> None:
    """Write one HTML page about a run: errors, distributions, mean maps, outliers, best and worst.

    The page holds its pictures and needs no network. A sample's picture is shown
    where its file is still there. Outliers are the maps that are farthest from the
    mean map of their class, by the cosine of maps of 8 x 8 parts.

    \b
    Example:
      onnxray run model.onnx photos --out maps
      onnxray report maps
    """
    say(f"-> {read_run(folder).report(out, examples)}")
