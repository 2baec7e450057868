"""The table of gradient checks, a file per family of operators."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from gradcheck import Case

CASES: list[Case] = [
    case
    for file in sorted(Path(__file__).parent.glob("[!_]*.py"))
    for case in import_module(f"{__name__}.{file.stem}").CASES
]


def firsts(cases: Sequence[Case]) -> set[str]:
    """The ids of the first case of each operator."""
    found = {(case.domain, case.op): str(case) for case in reversed(cases)}
    return set(found.values())


def daily(cases: Sequence[Case], more: Sequence[Case] = ()) -> list[Any]:
    """Cases as parameters of a test: every day one of each operator and ``more``, by CI all."""
    everyday = firsts(cases) | {str(case) for case in more}
    return [pytest.param(case, id=str(case), marks=() if str(case) in everyday else pytest.mark.slow) for case in cases]
