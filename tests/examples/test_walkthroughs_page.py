"""docs/walkthroughs.md: its pictures are there and small, its scripts are there and say how they are run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "walkthroughs.md").read_text()
SCRIPTS = sorted(set(re.findall(r"\(\.\./examples/(\w+)\.py\)", PAGE)))


def test_every_walkthrough_has_a_picture(is_picture) -> None:
    pictures = re.findall(r"!\[.+\]\((\w+\.png)\)", PAGE)
    assert len(pictures) == PAGE.count("\n## ") == 5
    assert all(is_picture(ROOT / "docs" / name) for name in pictures)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_say_what_how_and_what_to_see(name: str) -> None:
    tree = ast.parse((ROOT / "examples" / f"{name}.py").read_text())
    text = ast.get_docstring(tree) or ""
    assert f"python examples/{name}.py" in text
    assert len(text.splitlines()) > 3
    assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
