"""Files of data that cannot be read: whatever a decoder trips over becomes one line that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike

from ..errors import OnnxrayError

__all__ = ["readable"]


@contextmanager
def readable(path: str | PathLike[str], kind: str, error: type[OnnxrayError], remedy: str = "") -> Iterator[None]:
    """Raises ``error`` for what NumPy, zipfile or pyarrow raise of a broken file: a dozen types, KeyError among them.

    Nothing but the decoding of one file belongs in the block, so that no fault of onnxray is taken for the file's.
    """
    try:
        yield
    except OnnxrayError:
        raise
    except Exception as problem:
        reason = problem.strerror if isinstance(problem, OSError) else None
        raise error(f"{path} cannot be read ({reason or f'it is no {kind}, or a damaged one'}){remedy}") from problem
