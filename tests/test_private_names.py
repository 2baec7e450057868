"""Private names are read in the module that defines them alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Of other libraries, which have no public name for it.
FOREIGN = {
    "_exit",  # os
    "_flatten_layers", "_keras_history",  # keras
    "_pytree", "_python_dispatch", "_BatchNorm",  # torch
    "_pybind_state",  # onnxruntime-training
}  # fmt: skip
SELF = {"self", "cls"}


def read(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Private names that a file reads of something else or imports, and where."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in SELF):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((one.name, node.lineno) for one in node.names)


def defined(tree: ast.AST) -> Iterator[str]:
    """Names that a file gives to functions, classes, fields and values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def foreign(text: str) -> list[tuple[str, int]]:
    tree = ast.parse(text)
    known = {*defined(tree), *FOREIGN}
    return [(name, line) for name, line in read(tree) if name[0] == "_" and name[:2] != "__" and name not in known]


@pytest.mark.parametrize("folder", ["engine", "converters", "models", "benchmarks", "examples"])
def test_no_module_reads_private_names_of_another(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    found = [(str(file.relative_to(ROOT)), *one) for file in files for one in foreign(file.read_text(encoding="utf-8"))]
    assert files
    assert found == []


def test_a_private_name_of_another_is_found() -> None:
    assert foreign("def f(other):\n    return other._plans.values()") == [("_plans", 2)]
    assert foreign("from .explainer import _plan") == [("_plan", 1)]
    assert foreign("class A:\n    def _x(self, other):\n        return other._x, self._x") == []
