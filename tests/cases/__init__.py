"""The table of gradient checks, a file per family of operators."""

from importlib import import_module
from pathlib import Path

CASES = [
    case
    for file in sorted(Path(__file__).parent.glob("[!_]*.py"))
    for case in import_module(f"{__name__}.{file.stem}").CASES
]
