"""The shape of the code: short files, short functions, no exceptions."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(file for folder in ("engine", "converters", "models") for file in (ROOT / folder).rglob("*.py"))
TESTS = sorted(file for folder in ("tests", "benchmarks") for file in (ROOT / folder).rglob("*.py"))
MAX_FILE = 300
MAX_FUNCTION = 50


@cache
def functions(file: Path) -> list[tuple[str, int]]:
    """Every function with its lines, decorators included; a docstring, which tells every parameter, is no code."""
    return [
        (
            node.name,
            (node.end_lineno or 0) - min([node.lineno, *(d.lineno for d in node.decorator_list)]) + 1 - told(node),
        )
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def told(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's docstring."""
    text = node.body[0]
    return (text.end_lineno or 0) - text.lineno + 1 if ast.get_docstring(node) is not None else 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_are_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_FILE
    assert [(name, lines) for name, lines in functions(file) if lines > MAX_FUNCTION] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


def test_the_files_of_tests_and_benchmarks_are_short() -> None:
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in TESTS}
    assert {file: count for file, count in lines.items() if count > MAX_FILE} == {}


def test_the_median_function_is_small() -> None:
    lines = [lines for file in FILES for _, lines in functions(file)]
    print(f"{len(lines)} functions in {len(FILES)} files: median {median(lines)} lines, longest {max(lines)}")
    assert 4 <= median(lines) <= 12
