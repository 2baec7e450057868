"""`onnxray verify` and `onnxray training`: the second gradient builder on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..data.files import read_given
from ..diagnostics.verification import Finding, Verification, verify
from ..loading.load import load
from ..training.install import Status, install, status
from .options import Json, ModelFile, Preset, Providers
from .preprocess_option import preprocess_from_option
from .terminal import print_json, print_table, say

__all__ = ["training", "verify_command"]

training = typer.Typer(
    help="""The second gradient builder: onnxruntime-training, in a folder of its own.

    \b
    Example:
      onnxray training install
      onnxray training status
    """
)

Some = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[IMAGE]...", help="Pictures or arrays; random numbers by default.", show_default=False),
]


def verify_command(
    model: ModelFile,
    images: Some = None,
    preprocess: Preset = None,
    provider: Providers = None,
    directions: Annotated[int, typer.Option(help="Random directions of the central differences.", min=1)] = 4,
    as_json: Json = False,
) -> None:
    """Check a model's gradient: both builders against each other and against central differences.

    Exit code 0 if all ways to the gradient agree, 1 if they do not. Without
    onnxruntime-training (see 'onnxray training') the rest is compared.

    \b
    Example:
      onnxray verify model.onnx
      onnxray verify model.onnx dog.jpg --preprocess imagenet --json
    """
    source = load(model)
    how = preprocess_from_option(source, preprocess, images or [])
    given = [read_given(source, image).inputs for image in images or []] or [None]
    found = [verify(source, x, directions=directions, providers=provider or None, preprocess=how) for x in given]
    for one in found:
        print_json(one.to_json()) if as_json else _print(one)
    if not all(one.agrees for one in found):
        raise typer.Exit(1)


@training.command("install")
def install_command(as_json: Json = False) -> None:
    """Install onnxruntime-training 1.19.2 where it touches nothing else (810 MB, Python 3.11).

    ONNXRAY_TRAINING_HOME names another place than the user's cache.

    \b
    Example:
      onnxray training install
    """
    _show(install(), as_json)


@training.command("status")
def status_command(as_json: Json = False) -> None:
    """Tell whether onnxruntime-training is there and where; exit code 1 if it is not.

    \b
    Example:
      onnxray training status
    """
    found = status()
    _show(found, as_json)
    if not found.installed:
        raise typer.Exit(1)


def _show(found: Status, as_json: bool) -> None:
    print_json(found.to_json()) if as_json else say(str(found))


def _print(found: Verification) -> None:
    print_table(("path", "difference", "bound", "time", "memory", ""), [_row(finding) for finding in found.findings])
    say("" if found.agrees else "the gradients do not agree")


def _row(finding: Finding) -> tuple[str | None, ...]:
    number = "{:.1e}".format
    mark = finding.note or ("" if finding.difference is None else "ok" if finding.agrees else "DIFFERS")
    return (
        finding.path,
        None if finding.difference is None else number(finding.difference),
        None if finding.bound is None else number(finding.bound),
        None if finding.seconds is None else f"{1000 * finding.seconds:.0f} ms",
        None if finding.memory is None else f"{finding.memory / 2**20:.0f} MB",
        mark,
    )
