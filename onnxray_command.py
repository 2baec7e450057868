"""The command ``onnxray``: answers signals while the package is imported, which may take seconds."""

from __future__ import annotations

import os
import signal
from typing import Any

__all__ = ["main"]

KINDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def main() -> None:
    """Runs the command line; until that listens for signals itself, they end the process."""
    for number in KINDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from onnxray.cli.app import main as run

    run()


def _end(number: int, _: Any) -> None:
    os.write(2, f"onnxray: {KINDS[signal.Signals(number)]}: nothing was written\n".encode())
    os._exit(128 + number)
