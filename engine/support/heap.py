"""The memory of this process: how much it holds, and what it hands back."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

__all__ = ["held_memory", "release", "reset_peak"]


def release() -> None:
    """Hands freed memory back to the system: onnxruntime leaves hundreds of megabytes in the heap of glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def held_memory(entry: str = "VmRSS") -> int:
    """An entry of /proc/self/status in bytes; 0 where the system does not tell.

    "VmRSS" is the memory in use, "RssAnon" that of the process's own, "VmHWM" the most in use since ``reset_peak`` (the
    ``ru_maxrss`` of a child process begins with that of its parent).
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:")), 0)


def reset_peak() -> bool:
    """Begins "VmHWM" anew; False where the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
