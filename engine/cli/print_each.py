"""Printing the results of many files as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import typer

from ..support.fingerprint import file_digest
from ..support.writing import note_way_on
from .console_text import Failures, result_lines
from .file_batch import Failure, FileTask, Outcome, Work, each_file
from .result_index import ResultIndex
from .result_names import Claim, claim_stems
from .terminal import Step, print_json, progress_bar, say, say_note

__all__ = ["print_each"]


def print_each(
    files: Sequence[Path],
    work: Work[Any],
    out: Path,
    as_json: bool,
    worth_a_bar: bool,
    index: ResultIndex | None = None,
) -> None:
    """Prints every result as it comes, and of several files a last line; exit code 2 if there was none, 1 if some
    failed. ``index``: the results are listed there, and files whose results it has are skipped."""
    begun, failures, outcome = monotonic(), Failures(), _outcome(index, len(files) > 1)
    with progress_bar(len(files), worth_a_bar) as step:
        tasks = _tasks(claim_stems(files, out), index, outcome, step)
        outcome.report = _both(failures.add, outcome.report)
        for _, result in each_file(tasks, work, outcome, step):
            record = result.to_json() if as_json or index else {}
            print_json(record) if as_json else say(*result_lines(result))
            if index is not None:
                index.add(record)
    failures.finish()
    if len(files) > 1:
        (say_note if as_json else say)(_summary(outcome, len(files), monotonic() - begun, index))
    if outcome.failed:
        raise typer.Exit(1 if outcome.done + outcome.skipped else 2)


def _outcome(index: ResultIndex | None, several: bool) -> Outcome:
    if index is None:
        return Outcome()
    if several:
        note_way_on("the same command with --resume goes on")
    return Outcome(index.fail, index.finish, index.flush)


def _both(first: Callable[[Failure], None], second: Callable[[Failure], None]) -> Callable[[Failure], None]:
    def report(failure: Failure) -> None:
        first(failure)
        second(failure)

    return report


def _tasks(claims: Iterable[Claim], index: ResultIndex | None, outcome: Outcome, step: Step) -> Iterator[FileTask]:
    """The files that are to be done."""
    for claim in claims:
        digest = _digest(claim.file) if index is not None else ""
        task = FileTask(claim.file, claim.stem, claim.source, digest)
        if index is not None and index.has(task):
            outcome.skipped += 1
            step(task.file.name, outcome.count, outcome.count)
        else:
            yield task


def _digest(file: Path) -> str:
    """The digest of a file; none of a pipe, which can be read once, and of a file that cannot be read."""
    try:
        return f"sha256:{file_digest(file)}" if file.is_file() else ""
    except OSError:
        return ""


def _summary(outcome: Outcome, files: int, seconds: float, index: ResultIndex | None) -> str:
    parts = [f"{outcome.done} done", f"{outcome.failed} failed", f"{outcome.skipped} skipped"]
    parts += [f"{files - outcome.count} not begun"] if outcome.count < files else []
    time = f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
    return f"{files} files: {', '.join(parts)}, in {time}" + (f" -> {index.file}" if index is not None else "")
