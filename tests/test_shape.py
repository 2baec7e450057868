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
MAX_PART = 150  # of a method, a score or an overlay, with what it is made of
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


def overlays() -> list[Path]:
    """The files that make an ``Overlay``, and those of their folder that they are made of; the registry defines it."""
    folder = ROOT / "engine" / "autodiff"
    trees = {file: ast.parse(file.read_text()) for file in folder.glob("*.py")}
    makes = {file for file, tree in trees.items() if any(map(makes_overlay, ast.walk(tree)))}
    found, waiting = set[Path](), [*makes]
    while waiting:
        file = waiting.pop()
        if file not in found and file.name != "registry.py":
            found.add(file)
            read = [n for n in ast.walk(trees[file]) if isinstance(n, ast.ImportFrom) and n.level == 1]
            waiting += [path for n in read if (path := folder / f"{n.module}.py") in trees]
    return sorted(found)


def makes_overlay(node: ast.AST) -> bool:
    """Whether a node derives a class of ``Overlay``, or calls it."""
    named = node.bases if isinstance(node, ast.ClassDef) else [node.func] if isinstance(node, ast.Call) else []
    return any(isinstance(name, ast.Name) and name.id in ("Overlay", "Composite") for name in named)


def test_methods_scores_and_overlays_are_shorter() -> None:
    parts = [
        *(ROOT / "engine" / "methods").glob("*.py"),
        *(ROOT / "engine/attribution/scores").glob("*.py"),
        *overlays(),
    ]
    assert {"lrp_overlay.py", "rescale.py", "relevance.py", "differences.py", "relu_policies.py", "attention.py"} <= {
        file.name for file in parts
    }
    lines = {file.name: len(file.read_text().splitlines()) for file in parts}
    assert {file: count for file, count in lines.items() if count > MAX_PART} == {}


def test_the_median_function_is_small() -> None:
    lines = [lines for file in FILES for _, lines in functions(file)]
    print(f"{len(lines)} functions in {len(FILES)} files: median {median(lines)} lines, longest {max(lines)}")
    assert 4 <= median(lines) <= 12
