"""Who may import whom: the contracts of pyproject.toml, held by import-linter, and names that stand for one thing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnxray
import pytest

ROOT = Path(__file__).parent.parent
MOST_AT_THE_ROOT = 8
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports('pyproject.toml', no_cache=True))"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The three folders as they are installed, in one: import-linter does not follow an editable install's mapping."""
    copy = tmp_path / "onnxray"
    for folder, place in (("engine", copy), ("converters", copy / "converters"), ("models", copy / "models")):
        shutil.copytree(ROOT / folder, place, ignore=shutil.ignore_patterns("__pycache__", "*.onnx"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return copy


def contracts(package: Path) -> tuple[int, str]:
    """The exit code and the report."""
    done = subprocess.run([sys.executable, "-c", LINT], cwd=package.parent, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_contract_is_kept(package: Path) -> None:
    code, report = contracts(package)
    assert code == 0, report
    assert " 0 broken." in report


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("graph/shapes.py", "from ..autodiff import backward"),
        ("methods/saliency.py", "from .. import runtime"),
        ("converters/conversion.py", "from onnxray.explainer import Explainer"),
        ("passes/rewrite.py", "from . import decompose"),
    ],
)
def test_a_wrong_import_is_found(package: Path, file: str, line: str) -> None:
    """Upwards, to what a room must not know, out of the converters, and in a circle."""
    with (package / file).open("a") as opened:
        opened.write(f"\n\n{line}\n")
    assert contracts(package)[0] == 1


def test_few_files_lie_at_the_root() -> None:
    assert len(list((ROOT / "engine").glob("*.py"))) <= MOST_AT_THE_ROOT


def test_no_two_files_have_one_name() -> None:
    folders = [ROOT / "engine", ROOT / "converters", ROOT / "models"]
    names = Counter(file.stem for folder in folders for file in folder.rglob("*.py"))
    assert [name for name, count in names.items() if count > 1 and name != "__init__"] == []


def test_no_module_hides_behind_a_public_name() -> None:
    """``onnxray.explain`` is the function; a module of that name could not be reached."""
    modules = {path.stem for path in (ROOT / "engine").iterdir()} - {"__init__"}
    assert modules & set(onnxray.__all__) == set()
