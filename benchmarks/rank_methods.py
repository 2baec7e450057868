"""Every method of the package in the tables of docs/methods.md: what it asks, what it costs, and how it ranks.

    python benchmarks/rank_methods.py --write docs/methods.md [--only methods digits int8]

The table of methods takes seconds, that of the digits a minute, that of the int8 classifier of ../shared/data some
minutes: its maps come from fewer random draws than by default, which stands below the table.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
from generated import write_section
from onnxray import models
from onnxray.cli.evaluate import ranking_table
from onnxray.methods.catalogue import MethodInfo, describe_methods
from onnxray.models.data import digits
from PIL import Image

INT8 = Path(__file__).parents[2] / "shared" / "data" / "onnx" / "mobilenetv2like_qdq_244.onnx"
DIGITS, PHOTOGRAPHS = 8, ("cat",)  # of scikit-image, CC0
SHORT = {"samples": 40, "cells": 3, "steps": 20, "window": 61, "stride": 30}
METRICS = ["deletion", "insertion", "sparseness", "cascading-randomisation", "label-randomisation"]


def methods() -> str:
    """What each method asks, the rows that it runs for one digit with its default options, and what it needs."""
    lines = ["| method | what it answers | rows | gradient | layer | source |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *map(line, describe_methods())])


def line(info: MethodInfo) -> str:
    method = onnxray.METHODS[info.name]
    gradient, layer = ("yes" if told else "no" for told in (method.differentiates, method.has_layer))
    return f"| `{info.name}` | {info.summary} | {rows_of(info.name)} | {gradient} | {layer} | {info.paper or ''} |"


def rows_of(method: str) -> str:
    """How many rows the method runs for one example; a dash where it does not apply to the digits."""
    counts: list[int] = []
    try:
        explainer = onnxray.Explainer(models.path("digits.onnx"), method)
        explainer(models.path("digit.png"), progress=lambda _, rows: counts.append(rows))
    except onnxray.OnnxrayError:
        return "–"
    return str(counts[-1])


def of_digits() -> str:
    """All metrics on digits that the model has not seen."""
    x = digits().unseen[:DIGITS, None].astype(np.float32) / 255
    return table(f"{DIGITS} digits that the model has not seen, default options", models.path("digits.onnx"), x)


def of_photographs() -> str:
    """The int8 classifier on photographs of scikit-image."""
    if not INT8.exists():
        sys.exit(f"{INT8} is not here: there is nothing to rank methods on")
    import skimage

    pictures = [Image.fromarray(getattr(skimage.data, name)()) for name in PHOTOGRAPHS]
    options = ", ".join(f"{name}={value}" for name, value in SHORT.items())
    return table(
        f"photographs of scikit-image ({', '.join(PHOTOGRAPHS)}), options {options}", INT8, pictures,
        metrics=METRICS, options=SHORT, preprocess=onnxray.Preprocess.preset("imagenet", size=(244, 244)),
    )  # fmt: skip


def table(about: str, model: Path, data: Any, **settings: Any) -> str:
    """What `onnxray evaluate -m all` prints, in Markdown, and on what and with what it was measured."""
    found = onnxray.evaluate(model, data, methods="all", threads=1, progress=tell, **settings)
    columns, rows = ranking_table(found)
    lines = [columns, ["---"] * len(columns), *rows]
    body = "\n".join(f"| {' | '.join(cell.replace(chr(10), '') for cell in row)} |" for row in lines)
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "numpy"))
    return f"{body}\n\n`{model.name}`, {about}; {date.today()}, {versions}."


def tell(name: str, share: float) -> None:
    print(f"{share:4.0%} {name}", file=sys.stderr, flush=True)


TABLES = {"methods": methods, "digits": of_digits, "int8": of_photographs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the page; without it the tables are printed")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    asked = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    for name in asked.only:
        text = TABLES[name]()
        write_section(asked.write, name, text) if asked.write else print(text, end="\n\n")


if __name__ == "__main__":
    main()
