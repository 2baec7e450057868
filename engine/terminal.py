"""What the command line says: results on stdout, one line each for errors and warnings on stderr, bars for people."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.table import Table

__all__ = ["Step", "print_json", "print_table", "progress_bar", "say", "say_error", "warnings_on_stderr"]

Step = Callable[[str, float], None]  # what is being done, and how many files are done, in fractions

WIDE = 200  # columns where nobody looks: a file or a pipe


def say(text: str) -> None:
    """A line on stdout."""
    print(text, flush=True)


def say_error(text: object, kind: str = "error") -> None:
    """One line on stderr."""
    print(f"onnxray: {kind}: {' '.join(str(text).split())}", file=sys.stderr, flush=True)


def print_json(record: Any, *, indent: int | None = None) -> None:
    """One JSON value on stdout; on one line without ``indent``."""
    say(json.dumps(_finite(record), ensure_ascii=False, default=str, indent=indent))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns on stdout, as wide as they need to be unless a terminal is narrower."""
    console = Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False, emoji=False)
    table = Table(
        *columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(columns)
    )
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    with console.capture() as text:
        console.print(table)
    say("\n".join(line.rstrip() for line in text.get().splitlines()))  # the cells are padded


@contextmanager
def progress_bar(total: int, worth: bool) -> Iterator[Step]:
    """A bar on stderr for ``total`` files, where it is worth one and stderr is a terminal; gone when all is done."""
    console = Console(stderr=True)
    shown = worth and console.is_terminal
    bar = Progress(
        *Progress.get_default_columns()[:-1],
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not shown,
        redirect_stdout=sys.stdout.isatty(),  # else results would go where the bar goes
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda name, done: bar.update(task, description=name, completed=done)


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Warnings to users as single lines, each text once."""
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if str(message) not in seen:
            seen.add(str(message))
            say_error(message, "warning")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield


def _finite(record: Any) -> Any:
    """The record with null for NaN and infinities, which JSON has no words for."""
    if isinstance(record, float):
        return record if abs(record) < float("inf") else None
    if isinstance(record, dict):
        return {key: _finite(value) for key, value in record.items()}
    return [_finite(value) for value in record] if isinstance(record, list | tuple) else record
