"""The command line: commands parse, call one function, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ..support.writing import record_files
from . import console_text
from .ending import (
    CLOSED,
    TRACEBACK,
    Interrupted,
    answering_signals,
    interruption,
    opened_streams,
    say_failure,
    settled_streams,
)
from .late_commands import LateGroup
from .names import options_of
from .terminal import (
    ReaderGone,
    say,
    say_error,
    say_text,
    say_traceback,
    speaking_of,
    warnings_on_stderr,
)

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="onnxray",
    cls=LateGroup,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# typer.BadParameter's ancestor: what click, or the copy of it inside typer, raises for wrong usage
_USAGE: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the versions of onnxray, ONNX and runtime.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option(TRACEBACK, help="Show the Python traceback of an error; may stand anywhere in the line.")
    ] = False,
) -> None:
    """Which parts of an input did an ONNX model use? Attributions of any ONNX model, on onnxruntime.

    Exit codes: 0 done; 1 a check failed (compare, verify, training status), or
    some of several inputs failed; 2 an error or wrong usage; 3 a bug of
    onnxray; 130 Ctrl-C; 141 the reader of stdout has gone; 143 SIGTERM. Errors
    are lines on stderr. A file is written as a whole or not at all.

    \b
    Example:
      onnxray demo
      onnxray explain model.onnx dog.jpg -m guided-backprop --preprocess imagenet
      onnxray inspect model.onnx
    """
    if context.obj is not None:
        context.obj.update(options_of(context))
    if version:
        say(console_text.versions())
    elif context.invoked_subcommand is None:
        say_text(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    shown = TRACEBACK in given  # wherever in the line it is: it is typed at the end of the one that failed
    with warnings_on_stderr(), record_files() as record, speaking_of() as options:
        try:
            left = [one for one in given if one != TRACEBACK]
            return app(left, prog_name="onnxray", standalone_mode=False, obj=options) or 0
        except ReaderGone:
            return CLOSED
        except SystemExit as end:  # of typer, whose help found a broken pipe
            if isinstance(end.__context__, BrokenPipeError):
                return CLOSED
            raise
        except (Interrupted, typer.Abort) as error:
            end = error if isinstance(error, Interrupted) else Interrupted()
            record.discard()
            say_error(interruption(record), end.kind)
            return end.code
        except Exception as error:  # noqa: BLE001  the last resort
            if shown:
                say_traceback(error)
            return say_failure(console_text.usage_hint(error) if isinstance(error, _USAGE) else error)


def main() -> None:
    """The entry point of the command ``onnxray``."""
    opened_streams()
    with record_files() as record, answering_signals(record):
        code = run()
    settled_streams()
    sys.exit(code)
