"""What the tests share: PyTorch on two threads, a folder of their own, the real files, a table of what was measured."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"
MEASURED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASURED] = []
    with contextlib.suppress(ModuleNotFoundError):
        import torch

        torch.set_num_threads(2)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes one line for the summary at the end of the run."""
    return lambda line: request.config.stash[MEASURED].append(f"{request.node.name}: {line}")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the test in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def net() -> Callable[[str], Any]:
    """The usual classifiers, by name; the test is skipped where PyTorch, in which they are written, is absent."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from nets import net

    return net


@pytest.fixture
def data() -> Callable[[str], Path]:
    """A real file beside the checkout, by its path in ../shared/data; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{path} is not on this machine")
        return path

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[MEASURED]:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)
