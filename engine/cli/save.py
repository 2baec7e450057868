"""`onnxray save`: model, method and score as one ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx_ir as ir
import typer
from typer import Argument, Option

from ..attribution.axes import score_axes
from ..attribution.box_classes import known_labels
from ..attribution.scores import SCORES, Score, score_of
from ..attribution.target_text import names_class
from ..attribution.target_words import target_of
from ..data.labels import Labels, read_labels
from ..diagnostics.portability import Portability, portability
from ..diagnostics.verification import random_inputs
from ..errors import InputError
from ..explainer import Explainer
from ..graph.metadata import LABELS
from ..graph.model import Model
from ..loading.load import load
from ..loading.saving import write_model
from .flatten_options import flatten_options
from .options import LabelsFile, ModelFile, Preset, Setup
from .terminal import print_table, say

__all__ = ["save"]

MOST = 16  # numbers of a target that are printed
Quantize = Annotated[
    list[Path] | None,
    Option(
        metavar="DATA",
        help="Quantise the forward pass to 8 bits, with ranges from this data (as compare takes it; repeat it for "
        "several), and print size and loss of agreement. Gradients stay in float32. Needs the extra 'gate'.",
    ),
]


@flatten_options
def save(
    model: ModelFile,
    output: Annotated[Path, Argument(metavar="OUT.onnx", help="The file to write.", show_default=False)],
    setup: Setup,
    target: Annotated[
        str | None,
        Option(
            metavar="TARGET",
            help="What the file explains: as for explain, such as 6, cat-dog, box:0 or token:5, or one of "
            f"{', '.join(SCORES)}. Its inputs are then printed. By default class.",
        ),
    ] = None,
    labels: LabelsFile = None,
    preprocess: Preset = None,
    check: Annotated[
        bool,
        Option(
            "--check",
            help="Run the file on every runtime that is installed (onnxruntime, OpenVINO, onnxruntime-node "
            "and onnxruntime-web in a node_modules folder) and print how far it agrees, and its time.",
        ),
    ] = False,
    quantize: Quantize = None,
    **options: Any,
) -> None:
    """Write model and method as one ONNX file, which onnxruntime runs without onnxray.

    The file has the inputs of the model and one more, target: int64, one per
    example; -1 is the top class; if the scores of an example have several axes,
    target is the index of a score among all of them in C order. With --target
    of another kind, such as box:0, the input has that kind's type and shape; the
    command prints them, with the value that means TARGET for one example. The
    outputs are those of the model, then score and attribution.

    \b
    Example:
      onnxray save model.onnx explainer.onnx --method integrated-gradients \\
          --steps 20
      onnxray save yolo.onnx explainer.onnx --target box:dog
      onnxray save model.onnx explainer.onnx --check
      onnxray save model.onnx explainer.onnx --method grad-cam \\
          --quantize photographs/
    """
    if output.resolve() == model.resolve():
        raise InputError(f"{output} is the model itself; give the explainer a file of its own")
    source = load(model)
    explainer = Explainer(
        source, setup.method, score=setup.score, layer=setup.layer or None, preprocess=preprocess, **options
    )
    names = read_labels(labels) if labels else None
    made, lines, wanted = _made(source, explainer, setup.score, target, names)
    if quantize:
        from .save_quantised import Quantising  # which needs the gate

        whole, small = made, Quantising(source, explainer, setup, quantize, options)
        made, lines, wanted = _made(small.model, small.explainer, setup.score, target, names)
        lines += small.lines(whole, made)
    if names:
        made.metadata_props[LABELS] = json.dumps(dict(names))
    say(str(write_model(made, output)), *lines)
    if check:
        value = {made.metadata_props["onnxray.target"]: explainer.target_input(wanted)}
        _check(output, random_inputs(source, np.random.default_rng(0)) | value)


def _made(
    source: Model, explainer: Explainer, score: str, target: str | None, labels: Labels | None
) -> tuple[ir.Model, list[str], Any]:
    """The explainer of a kind of target, the lines that say its inputs, and the target."""
    if target is None:
        return explainer.exported(), [], "top1"
    axes = score_axes(source, score)
    known = known_labels(source, score, labels)
    kind = target in SCORES and target != "norm" and not names_class(target, known)  # "norm" is a word, too
    wanted: Score = SCORES[target] if kind else score_of(target_of(target, known, axes))
    value = None if kind else explainer.target_input(wanted)
    made = explainer.exported(wanted)
    return made, _inputs(made.graph.inputs, [str(value.name) for value in source.inputs], target, value), wanted


def _check(file: Path, feeds: Mapping[str, np.ndarray]) -> None:
    """Prints what every runtime makes of the file; exit code 1 where one gives another attribution."""
    found = portability(file, feeds)
    rows = [
        (f"{one.runtime} {one.version}".strip(), _number(one.attribution), _number(one.outputs), _time(one), _mark(one))
        for one in found
    ]
    say("")
    print_table(["runtime", "attribution is off by", "scores are off by", "time", ""], rows)
    if any(not one.agrees for one in found if one.attribution is not None):
        raise typer.Exit(1)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.1e}"


def _time(one: Portability) -> str | None:
    return None if one.seconds is None else f"{1000 * one.seconds:.1f} ms"


def _mark(one: Portability) -> str:
    return one.note or ("ok" if one.agrees else "WRONG")


def _inputs(inputs: Sequence[ir.Value], own: list[str], target: str, value: np.ndarray | None) -> list[str]:
    """A line for each input of a file: its name, type and shape; for the target also what it holds."""
    lines = []
    for x in inputs:
        sizes = ", ".join(str(d if isinstance(d, int) else d.value or "?") for d in x.shape or ())
        line = f"  {x.name}: {x.dtype.name.lower() if x.dtype is not None else '?'} ({sizes})"
        lines.append(line + (f", {x.doc_string}" if x.doc_string and x.name not in own else ""))
    if value is not None and value.size <= MOST:
        lines.append(f"  {target}: {', '.join(f'{number:g}' for number in value.ravel().tolist())}")
    return lines
