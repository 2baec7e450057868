"""A process of its own that tries a model: it loads, inspects and runs it on zeros, and answers in one line of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from .. import errors
from ..support.fingerprint import file_digest

__all__ = ["main"]


def _tried(file: Path) -> dict[str, str]:
    from ..loading.load import load
    from ..runtime import try_model
    from .inspection import inspect

    try:
        digest = file_digest(file) if file.is_file() else ""
        model = load(file)
        inspect(model)
        with contextlib.suppress(errors.OnnxrayError):  # zeros need not fit; a crash is what is looked for
            try_model(model)
    except errors.OnnxrayError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"digest": digest}


def _limit(memory: int, seconds: float) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(path: str, memory: str, seconds: str) -> None:
    """The process's own side."""
    file = Path(path)
    _limit(int(memory) + 8 * (file.stat().st_size if file.is_file() else 0), float(seconds))
    answer = json.dumps(_tried(file))
    os.write(1, f"\n{answer}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
