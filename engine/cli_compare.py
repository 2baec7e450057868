"""`onnxray compare` and `onnxray evaluate`: what two models look at, and how good one model's maps are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, BadParameter, Option

from .errors import InputError
from .gate import Comparison, compare
from .gate.evaluation import Evaluation, evaluate
from .gate.golden import is_golden
from .gate.provenance import other_runtime
from .gate.sides import DEFAULT_METHODS
from .gate.summary import rises
from .labels import read_labels
from .model import load
from .options import LabelsFile, ModelFile, Preset, Runtime
from .preprocess import Preprocess
from .recipes import recipe_for
from .spread import numbers, spread
from .terminal import print_table, progress_bar, say, say_error

__all__ = ["compare_models", "evaluate_model"]

DataPath = Annotated[
    list[Path],
    Argument(
        metavar="DATA...",
        help="Pictures, a folder (its sub-folders are labels), or one .npy, .npz, .csv or .parquet file.",
        show_default=False,
    ),
]
Methods = Annotated[
    list[str] | None,
    Option("--method", "-m", metavar="NAME", help="Attribution method; repeat it for several. By default saliency, "
           "input-x-gradient, integrated-gradients and grad-cam."),
]  # fmt: skip
MethodOptions = Annotated[
    list[str] | None,
    Option(metavar="NAME=VALUE", help="Option of the methods that have it, as in steps=20; repeat it for several."),
]
Masks = Annotated[
    Path | None,
    Option(metavar="PATH", help="Where the objects are: a folder of masks named as the samples, or JSON of boxes."),
]

LayerName = Annotated[str | None, Option(metavar="NAME", help="Layer for grad-cam and its like.")]
ScoreName = Annotated[
    str, Option(metavar="NAME", help="logit (before a final softmax or sigmoid), output, or a tensor's name.")
]


@dataclass(frozen=True)
class Sampling:
    """Which samples are taken."""

    samples: Annotated[int | None, Option(help="So many samples at random; all by default.", min=1)] = None
    seed: Annotated[int, Option(help="Seed of whatever is random.")] = 0


@dataclass(frozen=True)
class Questions:
    """What is asked about both models."""

    target: Annotated[
        str, Option(metavar="NAME", help="Whose class is explained: reference, label, or own (each side its top one).")
    ] = "reference"
    metric: Annotated[
        list[str] | None, Option(metavar="NAME", help="Metric of agreement; repeat it for several. All by default.")
    ] = None
    fail_under: Annotated[
        list[str] | None,
        Option(metavar="METRIC=VALUE", help="The gate, as in spearman=0.8, grad-cam.ssim=0.7, top1=0.99 or "
               "calibrated=0.8; repeat it. Of distances, more than VALUE fails. By default calibrated=0.5, or "
               "spearman=0.5 without --calibrate."),
    ] = None  # fmt: skip
    calibrate: Annotated[
        bool, Option("--calibrate", help="Place the numbers between the noise floor and randomised weights.")
    ] = False
    layers: Annotated[bool, Option("--layers/--no-layers", help="Find the layer at which evidence breaks.")] = True
    masks: Masks = None
    layer: LayerName = None
    score: ScoreName = "logit"


@dataclass(frozen=True)
class Files:
    """What is written."""

    report: Annotated[
        Path | None, Option(metavar="DIR", help="Write one HTML page there, and the journal of an interrupted run.")
    ] = None
    json: Annotated[Path | None, Option(metavar="FILE", help="Write everything as JSON; - for stdout.")] = None
    junit: Annotated[Path | None, Option(metavar="FILE", help="Write the gate as JUnit XML.")] = None
    golden: Annotated[
        Path | None, Option(metavar="FILE", help="Record the reference into FILE, which then can stand for REFERENCE.")
    ] = None

    @property
    def journal(self) -> Path | None:
        """Where an interrupted run continues."""
        return self.report / "journal.jsonl" if self.report else None


@spread
def compare_models(
    reference: Annotated[
        Path, Argument(metavar="REFERENCE", help="An .onnx file, or a .golden file of one.", show_default=False)
    ],
    candidate: Annotated[
        Path, Argument(metavar="CANDIDATE", help="An .onnx file: quantised, pruned, retrained.", show_default=False)
    ],
    data: DataPath,
    method: Methods = None,
    questions: Questions = Questions(),
    sampling: Sampling = Sampling(),
    files: Files = Files(),
    labels: LabelsFile = None,
    preprocess: Preset = None,
    candidate_provider: Annotated[
        list[str] | None, Option(metavar="NAME", help="Where the candidate runs, if elsewhere than the reference.")
    ] = None,
    runtime: Runtime = Runtime(),  # noqa: B008  a frozen value
    option: MethodOptions = None,
) -> None:
    """Decide whether two models look at the same evidence: the gate for int8, pruned and retrained models.

    The same inputs are explained on both; the maps are compared beside the answers.
    Exit code 0: the gate passes, 1: it fails, 2: an error, or nothing to conclude.

    \b
    Example:
      onnxray compare model.onnx int8.onnx photos --calibrate --fail-under calibrated=0.8 --report out
      onnxray compare model.onnx int8.onnx photos --golden model.golden
      onnxray compare model.golden int8.onnx photos --junit gate.xml
    """
    recipe = _recipe(candidate if is_golden(reference) else reference, preprocess)
    with progress_bar(1, worth=True) as step:
        found = compare(
            reference, candidate, data, methods=method or DEFAULT_METHODS, target=questions.target,
            metrics=questions.metric, fail_under=questions.fail_under, samples=sampling.samples, seed=sampling.seed,
            calibrate=questions.calibrate, layers=questions.layers, masks=questions.masks,
            labels=read_labels(labels) if labels else None, golden=files.golden, journal=files.journal,
            score=questions.score, layer=questions.layer, preprocess=recipe,
            providers=runtime.provider, candidate_providers=candidate_provider, threads=runtime.threads,
            memory=runtime.memory, failed=say_error, progress=step, options=parse_options(option or ()),
        )  # fmt: skip
    _write(found, files)
    raise typer.Exit(found.exit_code)


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """Options of methods: numbers, lists of them, switches, words."""
    return dict(map(_option, texts))


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--option {text!r}: give NAME=VALUE, such as steps=20")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        return name, numbers(value)
    except BadParameter:
        return name, value


def _recipe(model: Path, text: str | None) -> Preprocess | None:
    """What --preprocess says; None leaves it to the models."""
    return recipe_for(load(model), text, [Path("picture")]) if text else None


def _write(found: Comparison, files: Files) -> None:
    """Files first, as the text names them."""
    if files.json is not None and str(files.json) != "-":
        write_text(files.json, found.json_text())
    written = [str(files.json)] if files.json else []
    written += [str(found.junit(files.junit))] if files.junit else []
    written += [str(found.report(files.report))] if files.report else []
    if str(files.json) == "-":
        say(found.json_text())
    else:
        print_comparison(found, written)


def print_comparison(found: Comparison, written: Sequence[str] = ()) -> None:
    """The verdict, what decided it, the numbers, and where the models part."""
    skipped = f", {len(found.failed)} skipped" if found.failed else ""
    say(f"{found.verdict.upper()}: {len(found.rows)} samples{skipped}\n")
    for one in found.checks:
        say(f"  {one}")
    if line := other_runtime(found.provenance):
        say(f"  {line}")
    rows = [
        (one.method, one.metric, f"{one.mean:.4f}", f"{one.low:.4f} .. {one.high:.4f}", f"{one.worst:.4f}")
        for one in found.summary
    ]
    say("")
    print_table(["", "metric", "mean", "95 % interval", "worst"], rows)
    if found.layers:
        where = f"evidence breaks at layer {found.layers.breaks}" if found.layers.breaks else "no layer loses much"
        say(f"\n{where}; {len(found.layers.layers)} layers matched by {found.layers.matched}")
    for file in written:
        say(f"-> {file}")


def write_text(path: Path, text: str) -> None:
    """Writes a file, whose folder is made where it is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


@spread
def evaluate_model(
    model: ModelFile,
    data: DataPath,
    method: Methods = None,
    metric: Annotated[
        list[str] | None, Option(metavar="NAME", help="Metric of quality; repeat it for several. All by default.")
    ] = None,
    target: Annotated[str, Option(metavar="NAME", help="Whose class is explained: top1 or label.")] = "top1",
    masks: Masks = None,
    layer: LayerName = None,
    score: ScoreName = "logit",
    sampling: Sampling = Sampling(),
    report: Annotated[Path | None, Option(metavar="DIR", help="Write one HTML page with plots there.")] = None,
    json: Annotated[Path | None, Option(metavar="FILE", help="Write everything as JSON; - for stdout.")] = None,
    labels: LabelsFile = None,
    preprocess: Preset = None,
    runtime: Runtime = Runtime(),  # noqa: B008  a frozen value
    option: MethodOptions = None,
) -> None:
    """Measure how good the maps of one model are: faithful, steady, sparse, and made by what it learned.

    Deletion, insertion, pointing game (with --masks), max-sensitivity, infidelity,
    completeness, sparseness, and the sanity checks by randomised weights and classes.

    \b
    Example:
      onnxray evaluate model.onnx photos -m saliency -m grad-cam --samples 50 --report out
    """
    with progress_bar(1, worth=True) as step:
        found = evaluate(
            model, data, methods=method or DEFAULT_METHODS, metrics=metric, target=target, masks=masks,
            labels=read_labels(labels) if labels else None, samples=sampling.samples, seed=sampling.seed,
            failed=say_error, progress=step, score=score, layer=layer, preprocess=_recipe(model, preprocess),
            providers=runtime.provider, threads=runtime.threads, memory=runtime.memory,
            **parse_options(option or ()),
        )  # fmt: skip
    if json is not None and str(json) != "-":
        write_text(json, found.json_text())
    written = [str(json)] if json else []
    written += [str(found.report(report))] if report else []
    say(found.json_text()) if str(json) == "-" else print_evaluation(found, written)


def print_evaluation(found: Evaluation, written: Sequence[str] = ()) -> None:
    """A table of metrics by method."""
    skipped = f", {len(found.failed)} skipped" if found.failed else ""
    say(f"{found.model}: {len(found.rows)} samples{skipped}\n")
    methods = list(dict.fromkeys(one.method for one in found.summary))
    cells = {(one.method, one.metric): f"{one.mean:.4f}" for one in found.summary}
    metrics = list(dict.fromkeys(one.metric for one in found.summary))
    rows = [(f"{name} {'+' if rises(name) else '-'}", *(cells.get((m, name), "") for m in methods)) for name in metrics]
    print_table(["metric (+ more is better, - less)", *methods], rows)
    for file in written:
        say(f"-> {file}")
