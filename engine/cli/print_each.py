"""Printing the results of many files as they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from .console_text import Failures, result_lines
from .file_batch import Work, claim_stems, each_file
from .terminal import print_json, progress_bar, say

__all__ = ["print_each"]


def print_each(files: Sequence[Path], work: Work[Any], out: Path, as_json: bool, worth_a_bar: bool) -> None:
    """Prints every result as it comes; exit code 2 if there was none, 1 if some failed."""
    failures, done = Failures(), 0
    with progress_bar(len(files), worth_a_bar) as step:
        for result in each_file(files, claim_stems(files, out), work, failures.add, step):
            done += 1
            print_json(result.to_json()) if as_json else say(*result_lines(result))
    if failures.finish():
        raise typer.Exit(1 if done else 2)
