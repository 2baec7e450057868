"""What the tests share: PyTorch kept to two threads, and a table of what was measured against the peers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

MEASURED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASURED] = []
    torch.set_num_threads(2)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes one line for the summary at the end of the run."""
    return lambda line: request.config.stash[MEASURED].append(f"{request.node.name}: {line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[MEASURED]:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)
