"""Processes in which onnxruntime finds an x86 processor without VNNI, whose 8-bit kernels saturate.

For any command: ``LD_PRELOAD=$(python tests/without_vnni.py FOLDER) python -m pytest``
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["hiding_library", "why_not"]

SOURCE = Path(__file__).with_name("hide_vnni.c")
FEATURES = Path("/proc/cpuinfo")


def why_not() -> str:
    """Why this machine cannot hide features from a process; "" where it can."""
    if shutil.which("cc") is None:
        return "there is no C compiler"
    if not FEATURES.is_file() or "cpuid_fault" not in FEATURES.read_text():
        return "CPUID does not fault on this machine"
    return ""


def hiding_library(folder: Path) -> Path:
    """The library for LD_PRELOAD, compiled into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder.resolve() / "hide_vnni.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"], check=True)
    return made


if __name__ == "__main__":
    print(hiding_library(Path(sys.argv[1])))
