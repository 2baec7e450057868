"""docs/architecture.md and CONTRIBUTING.md name files, functions, tests and rooms that exist."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("docs/architecture.md", "CONTRIBUTING.md")}
PAGE = PAGES["docs/architecture.md"]
NAMED = re.compile(r"\]\(([^)]+\.py)\):\s(`[\w.]+`(?:,\s`[\w.]+`)*)")  # [file.py](path/file.py): `name`, `other`


@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_links_to_is_there(page: str) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGES[page])
    assert len(links) > 5
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_every_name_behind_a_link_is_in_that_file() -> None:
    named = [(link, name) for link, text in NAMED.findall(PAGE) for name in re.findall(r"`([\w.]+)`", text)]
    assert len(named) > 30
    assert [(link, name) for link, name in named if name not in set(defined(ROOT / "docs" / link))] == []


def defined(file: Path) -> Iterator[str]:
    """The names that a file defines: functions, classes, their methods as Class.method, and values."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
            yield from (f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))


@pytest.mark.parametrize("page", PAGES)
def test_every_test_and_file_that_the_page_names_is_there(page: str) -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    names = re.findall(r"`(test_\w+)`", PAGES[page])
    assert len(names) > 5
    assert [name for name in names if f"def {name}(" not in text] == []
    paths = re.findall(r"`((?:tests|engine|converters|docs|benchmarks|\.ci)/[\w./-]+)`", PAGES[page])
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_floors_are_those_of_the_contract() -> None:
    """The picture has a box for each floor, the table a row for each room, from the top down."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert re.findall(r'\["([^"]+)"\]', PAGE) == contract["layers"]
    rooms = [room for floor in contract["layers"] for room in floor.split(" | ")]
    assert re.findall(r"^\| \[(\w+)(?:\.py)?\]\(", PAGE, re.MULTILINE) == rooms
