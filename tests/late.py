"""Heavy packages that are imported when a test first uses them: every process of pytest-xdist collects all files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

__all__ = ["Late", "late"]


@dataclass(frozen=True)
class Late:
    """Stands for a package, whose attributes it has."""

    package: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks for fixtures behind what a file holds: that is no use of the package
            raise AttributeError(name)
        return getattr(import_module(self.package), name)


def late(*packages: str) -> Any:
    """The first of these packages; skips the file that asks where one of them is not installed."""
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed", allow_module_level=True)
    return Late(packages[0])
