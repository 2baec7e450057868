"""Output of the command line: results on stdout; errors, warnings and progress bars on stderr."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TimeRemainingColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..drawing.coloured_text import Part
from ..errors import DIRECTIONS, OutputError, printable
from ..support.json_text import json_text
from ..support.writing import note_progress

__all__ = [
    "ReaderGone",
    "Step",
    "as_typed",
    "print_json",
    "print_parts",
    "print_table",
    "printable",
    "progress_bar",
    "say",
    "say_error",
    "say_note",
    "say_text",
    "say_traceback",
    "speaking_of",
    "warnings_on_stderr",
]


class Step(Protocol):
    """Called with what is being done, and how many files are done, in fractions; ``whole``: how many of these are
    written, where files are done together."""

    def __call__(self, name: str, done: float, whole: int | None = None) -> None: ...


_CONTROL_IN_JSON = re.compile(f"[\x7f-\x9f{DIRECTIONS}]")  # the others are escaped already
_options: ContextVar[dict[str, str]] = ContextVar("options", default={})  # noqa: B039  never filled
WIDE = 300  # width in columns when stdout is not a terminal


class ReaderGone(Exception):
    """The reader of stdout has closed it, as `head` does; typer would end with exit code 1 at a BrokenPipeError."""


def say(*lines: str) -> None:
    """Lines on stdout; what is no printable character in them, such as a line break in a file's name, is escaped."""
    say_text("\n".join(map(printable, lines)))


def say_text(text: str) -> None:
    """A text on stdout as it is. Raises OutputError where stdout takes nothing, ReaderGone where nobody reads it."""
    if sys.stdout is None:
        raise OutputError("stdout cannot be written: it is closed")
    try:
        print(_encodable(text, sys.stdout), flush=True)
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise OutputError(f"stdout cannot be written: {error.strerror}") from error


def say_error(text: object, kind: str = "error") -> None:
    """One line on stderr, or nowhere if that takes nothing: never on stdout."""
    say_note(f"{kind}: {as_typed(str(text))}")


def say_note(text: str) -> None:
    """One line on stderr that is no error, or nowhere likewise."""
    if sys.stderr is not None:
        with suppress(OSError):
            line = f"onnxray: {' '.join(text.split())}"
            print(_encodable(printable(line), sys.stderr), file=sys.stderr, flush=True)


@contextmanager
def speaking_of() -> Iterator[dict[str, str]]:
    """Errors name arguments as they are typed; the dict is to be filled, for instance with ``layer``: ``--layer``."""
    options: dict[str, str] = {}
    token = _options.set(options)
    try:
        yield options
    finally:
        _options.reset(token)


def as_typed(text: str) -> str:
    """A message with Python's arguments as options: ``layer=`` as ``--layer``, ``threads=0`` as ``--threads 0``."""
    for name, option in _options.get().items():
        text = re.sub(rf"(?<![\w.'\"=-]){name}=(?:True\b)?(?=(\S?))", partial(_option, option), text)
    return text


def _option(option: str, found: re.Match[str]) -> str:
    spaced = found[1].strip(",;:)") and not option.endswith("=") and not found[0].endswith("True")
    return f"{option} " if spaced else option


def say_traceback(error: BaseException) -> None:
    """Where an error comes from, on stderr."""
    if sys.stderr is not None:
        with suppress(OSError):
            lines = "".join(traceback.format_exception(error)).splitlines()
            print(_encodable("\n".join(map(printable, lines)), sys.stderr), file=sys.stderr, flush=True)


def _encodable(text: str, stream: TextIO) -> str:
    r"""The text with what the stream's encoding lacks as \udcNN, in JSON too: so are names that are not UTF-8."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def print_json(record: Any, *, indent: int | None = None) -> None:
    """One JSON value on stdout; on one line without ``indent``."""
    text = json_text(record, ensure_ascii=False, indent=indent)
    say_text(_CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], whole: int = 0) -> None:
    """Aligned columns on stdout, as wide as they need to be unless a terminal is narrower; the first ``whole`` columns
    have no line breaks even then."""
    console = Console(width=None if _is_terminal(sys.stdout) else WIDE, markup=False, highlight=False, emoji=False)
    table = Table(
        *columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(columns)
    )
    for k, column in enumerate(table.columns):
        column.overflow = "fold"  # what is cut off is lost
        column.no_wrap = k < whole
    for row in rows:
        table.add_row(*("" if cell is None else printable(str(cell)) for cell in row))
    with console.capture() as text:
        console.print(table)
    say_text("\n".join(line.rstrip() for line in text.get().splitlines()))  # the cells are padded


def print_parts(parts: Sequence[Part]) -> None:
    """A line on stdout with its colours, where stdout is a terminal that has colours."""
    line = Text()
    for part in parts:
        line.append(printable(part.text), Style(color=part.ink, bgcolor=part.colour))
    console = Console(markup=False, highlight=False, emoji=False)
    with console.capture() as text:
        console.print(line, soft_wrap=True)
    say_text(text.get().rstrip("\n"))


@contextmanager
def progress_bar(total: int, worth: bool) -> Iterator[Step]:
    """A bar on stderr for ``total`` files, where it is worth one and stderr is a terminal; gone when all is done."""
    console = Console(stderr=True)
    shown = worth and sys.stderr is not None and console.is_terminal
    bar = Progress(
        *Progress.get_default_columns()[:-1],
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not shown,
        redirect_stdout=_is_terminal(sys.stdout),  # else results would go where the bar goes
    )
    with bar:
        task = bar.add_task("", total=total)

        def step(name: str, done: float, whole: int | None = None) -> None:
            note_progress(
                f"{int(done) if whole is None else whole} of {total} done" if total > 1 else f"{done / total:.0%} done"
            )
            if shown:
                bar.update(task, description=escape(printable(name)), completed=done)

        yield step


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


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
