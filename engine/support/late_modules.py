"""Modules that processes of onnxray's own leave out until something in them is used, if it ever is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import Any

__all__ = ["find_late"]

# What onnx_ir calculates with names of sizes by, which nothing here asks it for: a fifth of a short command's time.
LATE = frozenset({"sympy", "onnx_ir._symbolic_shapes"})


def find_late() -> None:
    """From now on such modules are executed when something in them is first used; not for a user's own process, where
    threads may use them at once."""
    sys.meta_path.insert(0, _LateFinder())


class _LateFinder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path) if fullname in LATE else None
        if found is not None and found.loader is not None:
            found.loader = LazyLoader(found.loader)
        return found
