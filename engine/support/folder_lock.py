"""One process at a time in a folder; the library filelock would leave a file in every folder of results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

__all__ = ["folder_lock"]


@contextmanager
def folder_lock(folder: Path, wait: bool = True) -> Iterator[None]:
    """Waits for other processes that are in such a block with the folder; one that is killed leaves it, too.

    Raises InputError in the place of waiting if ``wait`` is false. On Windows, and on file systems without such locks,
    nothing waits and nothing is raised.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise InputError(
                f"another process writes to {folder}; wait for it, or name another folder with out="
            ) from None
        except OSError:  # a file system without such locks
            pass
        yield
    finally:
        os.close(descriptor)
