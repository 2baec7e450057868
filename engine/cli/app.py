"""The command line: commands parse, call one function, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..data.found_files import find_files
from ..diagnostics.inspection import inspect as inspect_model
from ..loading.load import load
from ..methods.catalogue import describe_methods
from ..support.writing import make_folder, record_files
from . import console_text
from .activation_files import FeatureMaps
from .compare import compare_models
from .convert import convert
from .data_run import run_on_data
from .demo import run_demo
from .doctor import doctor
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
from .evaluate import evaluate_model
from .explain import explain
from .flatten_options import flatten_options
from .names import options_of
from .options import (
    Images,
    Isolated,
    Json,
    Layers,
    MapsPalette,
    ModelFile,
    Numbers,
    Out,
    Preset,
    Providers,
)
from .preprocess_option import preprocess_from_option
from .print_each import print_each
from .report_run import report_run
from .save import save
from .terminal import (
    ReaderGone,
    print_json,
    say,
    say_error,
    say_text,
    say_traceback,
    speaking_of,
    warnings_on_stderr,
)
from .training import training, verify_command

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="onnxray",
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


app.command()(explain)


@app.command()
@flatten_options
def activations(
    model: ModelFile,
    images: Images,
    layer: Layers,
    preprocess: Preset = None,
    out: Out = Path("out"),
    as_json: Json = False,
    npz: Numbers = False,
    palette: MapsPalette = "magma",
    provider: Providers = None,
) -> None:
    """Show the outputs of layers: a grid of feature maps per layer, the strongest first.

    \b
    Example:
      onnxray activations model.onnx dog.jpg --layer conv1 --layer layer4 --npz
    """
    source, files = load(model), find_files(images)
    preprocessing = preprocess_from_option(source, preprocess, files)
    for name in layer:
        source.layer(name)
    work = FeatureMaps(source, layer, make_folder(out), preprocessing, provider or None, palette, npz)
    print_each(files, work, work.out, as_json, worth_a_bar=len(files) > 1)


@app.command()
def inspect(model: ModelFile, as_json: Json = False, isolated: Isolated = False) -> None:
    """Describe a model and what can be explained: inputs, score, layers, gradient.

    \b
    Example:
      onnxray inspect model.onnx
      onnxray inspect model.onnx --json | jq '.layers[].name'
      onnxray inspect downloaded.onnx --isolated
    """
    found = inspect_model(load(model, isolated=isolated))
    print_json(found.to_json(), indent=2) if as_json else console_text.print_inspection(found)


@app.command()
def methods(as_json: Json = False) -> None:
    """List the attribution methods, their options with defaults, and their papers.

    \b
    Example:
      onnxray methods
    """
    found = describe_methods()
    print_json([console_text.plain(method) for method in found], indent=2) if as_json else console_text.print_methods(
        found
    )


app.command("run")(run_on_data)
app.command("report")(report_run)
app.command()(save)
app.command()(convert)
app.command("compare")(compare_models)
app.command("evaluate")(evaluate_model)
app.command("verify")(verify_command)
app.command()(doctor)
app.add_typer(training, name="training")


@app.command()
def demo(out: Out = Path("onnxray-demo")) -> None:
    """Explain the models that come with onnxray, on a digit and a table; no network.

    \b
    Example:
      onnxray demo --out /tmp/demo
    """
    for line in run_demo(make_folder(out)):
        say(line)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    shown = TRACEBACK in given  # wherever in the line it is: it is typed at the end of the one that failed
    with warnings_on_stderr(), record_files() as record, speaking_of() as options:
        try:
            left = [one for one in given if one != TRACEBACK]
            code = app(left, prog_name="onnxray", standalone_mode=False, obj=options) or 0
            if code == Interrupted().code:  # which typer makes of a KeyboardInterrupt
                raise Interrupted
            return code
        except ReaderGone:
            return CLOSED
        except (Interrupted, KeyboardInterrupt, typer.Abort) as error:
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
