"""The command ``onnxray``: answers signals while the package is imported, which may take seconds."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import Any

__all__ = ["main"]

KINDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
# What onnx_ir calculates with names of sizes by, which no command asks it for: a fifth of a short command's time.
LATE = frozenset({"sympy", "onnx_ir._symbolic_shapes"})


class LateFinder(MetaPathFinder):
    """Finds modules that are executed when something in them is first used, if it ever is."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path) if fullname in LATE else None
        if found is not None and found.loader is not None:
            found.loader = LazyLoader(found.loader)
        return found


def main() -> None:
    """Runs the command line; until that listens for signals itself, they end the process."""
    sys.meta_path.insert(0, LateFinder())
    for number in KINDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from onnxray.cli.app import main as run

    run()


def _end(number: int, _: Any) -> None:
    os.write(2, f"onnxray: {KINDS[signal.Signals(number)]}: nothing was written\n".encode())
    os._exit(128 + number)
