"""docs/training.md names tests that are there, and every guard of the engine."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_tests_that_the_page_names_are_there() -> None:
    there = {name for file in HERE.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= there


def test_the_page_names_every_error_and_crash_that_has_a_test() -> None:
    files = ("test_training_raw.py", "test_training_crashes.py")
    tests = {name for file in files for name in re.findall(r"^def (test_\w+)", (HERE / file).read_text(), re.M)}
    assert tests <= set(re.findall(r"`(test_\w+)`", PAGE))


def test_what_the_page_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert len(links) > 3
    assert [link for link in links if not (HERE.parents[1] / "docs" / link).exists()] == []
