"""The option of the tests' own: a run fails where more tests are skipped than may be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """import pytest
def test_one(): pass
@pytest.mark.skip(reason="on purpose")
def test_two(): pass
"""


@pytest.mark.slow  # a run of pytest each
@pytest.mark.parametrize(("most", "code", "workers"), [("1", 0, ()), ("0", 1, ("-n", "1"))])
def test_more_skips_than_may_be_fail_the_run(most: str, code: int, workers: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("conftest.py", "shared_folder.py"):
        shutil.copy(Path(__file__).parent / name, tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--most-skips", most, *workers]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert f"1 skipped, for the reasons below; at most {most} may be" in done.stdout
