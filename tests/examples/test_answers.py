"""The page of answers: its code runs, and it names no method that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import onnxray
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "answers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=["in-the-file", "forces", "which-layer", "fgsm"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # random pictures have faint maps
def test_the_code_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block ends with what it claims as an assertion."""
    monkeypatch.chdir(tmp_path)
    assert "assert " in code
    exec(compile(code, "answers.md", "exec"), {})


def test_every_method_in_the_table_is_there() -> None:
    table = PAGE[PAGE.index("| there | here |") :]
    named = {name for line in table.splitlines() for name in re.findall(r'`"([a-z+-]+)"`', line)}
    assert len(named) >= 22
    assert named <= set(onnxray.METHODS)
