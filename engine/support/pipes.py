"""Named pipes: to open one waits for whoever writes to it, for ever where nobody does."""

from __future__ import annotations

import os
import stat

from ..errors import InputError

__all__ = ["check_no_pipe"]

OPENED = "/dev/fd/"  # pipes of the shell, <(command), that are open already and have a writer


def check_no_pipe(path: str | os.PathLike[str]) -> None:
    """Raises InputError for a named pipe; what is not there is left to whoever opens it."""
    try:
        piped = stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116  a Path takes longer, and there may be millions
    except (OSError, ValueError):
        return
    if piped and not os.fspath(path).startswith(OPENED) and os.path.lexists(os.path.realpath(path)):
        raise InputError(
            f"{path} is a named pipe, which is waited for until somebody writes; write to a file, name that"
        )
