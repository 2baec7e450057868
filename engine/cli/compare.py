"""`onnxray compare`: do two models look at the same evidence?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from ..data.labels import read_labels
from ..gate import Comparison, compare
from ..gate.golden import is_golden
from ..gate.model_under_test import DEFAULT_METHODS
from ..gate.provenance import other_processor, other_runtime, other_session
from ..optional import REPORT, need_all
from ..support.writing import check_outputs, write_text
from .flatten_options import flatten_options
from .gate_options import (
    DataPath,
    LayerName,
    Masks,
    MethodOptions,
    Methods,
    Sampling,
    ScoreName,
    SideSessionOption,
    WorkerOptions,
    named_preprocess,
    parse_options,
)
from .options import LabelsFile, Preset, Runtime
from .terminal import print_table, progress_bar, say, say_error, say_text

__all__ = ["compare_models"]


@dataclass(frozen=True)
class Questions:
    """The settings that both models share."""

    target: Annotated[
        str,
        Option(
            metavar="TARGET",
            help="What both models explain. Of classes: reference (its top class), label, or own (of each model). "
            "Or as for explain, such as 6, cat-dog, box:0, mask:FILE:3, token:5 or 0,5. A box is found in the "
            "candidate by its class and overlap.",
        ),
    ] = "reference"
    metric: Annotated[
        list[str] | None, Option(metavar="NAME", help="Metric of agreement; repeat it for several. All by default.")
    ] = None
    fail_under: Annotated[
        list[str] | None,
        Option(metavar="METRIC=VALUE", help="Threshold, as in spearman=0.8, grad-cam.ssim=0.7, top1=0.99 or "
               "calibrated=0.8; repeat it. Of distances, more than VALUE fails. By default calibrated=0.5, or "
               "without --calibrate spearman=0.5, and 0.8 for one model in two kinds of session."),
    ] = None  # fmt: skip
    calibrate: Annotated[
        bool, Option("--calibrate", help="Scale the numbers: 1 is the reference with noise, 0 with random weights.")
    ] = False
    layers: Annotated[bool, Option("--layers/--no-layers", help="Find the layer at which evidence breaks.")] = True
    masks: Masks = None
    layer: LayerName = None
    score: ScoreName = "logit"


@dataclass(frozen=True)
class Files:
    """The files to write."""

    report: Annotated[
        Path | None, Option(metavar="DIR", help="Write an HTML page into DIR, and a journal to continue from.")
    ] = None
    json: Annotated[Path | None, Option(metavar="FILE", help="Write everything as JSON; - for stdout.")] = None
    junit: Annotated[Path | None, Option(metavar="FILE", help="Write the gate as JUnit XML.")] = None
    markdown: Annotated[
        Path | None, Option(metavar="FILE", help="Write the verdict and the table as Markdown, as for a CI summary.")
    ] = None
    golden: Annotated[
        Path | None, Option(metavar="FILE", help="Record the reference into FILE; later pass FILE as REFERENCE.")
    ] = None

    @property
    def outputs(self) -> list[Path]:
        """All of them."""
        page = self.report / "report.html" if self.report else None
        json = None if str(self.json) == "-" else self.json
        return [path for path in (json, self.junit, self.markdown, self.golden, page, self.journal) if path is not None]

    @property
    def journal(self) -> Path | None:
        """Where an interrupted run continues."""
        return self.report / "journal.jsonl" if self.report else None


@flatten_options
def compare_models(
    reference: Annotated[
        Path, Argument(metavar="REFERENCE", help="An .onnx file, or a .golden file made from it.", show_default=False)
    ],
    candidate: Annotated[
        Path, Argument(metavar="CANDIDATE", help="An .onnx file: quantised, pruned, retrained.", show_default=False)
    ],
    data: DataPath,
    method: Methods = None,
    questions: Questions = Questions(),
    sampling: Sampling = Sampling(),  # noqa: B008  a frozen value
    files: Files = Files(),
    labels: LabelsFile = None,
    preprocess: Preset = None,
    candidate_provider: Annotated[
        list[str] | None, Option(metavar="NAME", help="Where the candidate runs, if not where the reference runs.")
    ] = None,
    reference_session: SideSessionOption = None,
    candidate_session: SideSessionOption = None,
    by: WorkerOptions = WorkerOptions(),  # noqa: B008  a frozen value
    runtime: Runtime = Runtime(),  # noqa: B008  a frozen value
    option: MethodOptions = None,
) -> None:
    """Decide whether two models look at the same evidence: the gate for int8, pruned and retrained models.

    Both models explain the same inputs; the maps and the outputs are compared.
    Exit code 0: the gate passes, 1: it fails, 2: an error, or no sample compared.

    \b
    Example:
      onnxray compare model.onnx int8.onnx photos --calibrate \\
          --fail-under calibrated=0.8 --report out
      onnxray compare model.onnx int8.onnx photos --golden model.golden
      onnxray compare model.golden int8.onnx photos --junit gate.xml
      onnxray compare int8.onnx int8.onnx photos \\
          --reference-session optimization=off
    """
    if files.report is not None:
        need_all(*REPORT)
    check_outputs(files.outputs, (reference, candidate, *data, *filter(None, (questions.masks, labels))))
    preprocessing = named_preprocess(candidate if is_golden(reference) else reference, preprocess)
    with progress_bar(1, worth=True) as step:
        found = compare(
            reference, candidate, data, methods=method or DEFAULT_METHODS, target=questions.target,
            metrics=questions.metric, fail_under=questions.fail_under, samples=sampling.samples, seed=sampling.seed,
            calibrate=questions.calibrate, layers=questions.layers, masks=questions.masks,
            labels=read_labels(labels) if labels else None, golden=files.golden, journal=files.journal,
            score=questions.score, layer=questions.layer, preprocess=preprocessing,
            providers=runtime.provider, candidate_providers=candidate_provider,
            reference_session=reference_session, candidate_session=candidate_session, threads=runtime.threads,
            executor=by.executor, workers=by.workers, address=by.address,
            memory=runtime.memory, failed=say_error, progress=step, options=parse_options(option or ()),
        )  # fmt: skip
    _write(found, files)
    raise typer.Exit(found.exit_code)


def _write(found: Comparison, files: Files) -> None:
    """Files first, as the text names them."""
    if files.json is not None and str(files.json) != "-":
        write_text(files.json, found.json_text() + "\n")
    written = [str(files.json)] if files.json else []
    written += [str(found.junit(files.junit))] if files.junit else []
    written += [str(found.markdown(files.markdown))] if files.markdown else []
    written += [str(found.report(files.report))] if files.report else []
    if str(files.json) == "-":
        say_text(found.json_text())
    else:
        print_comparison(found, written)


def print_comparison(found: Comparison, written: Sequence[str] = ()) -> None:
    """The verdict, what decided it, the numbers, and where the models part."""
    say(f"{found.verdict.upper()}: {found.counted}", "")
    for one in found.checks:
        say(f"  {one}")
    for row in found.rows:
        if row.finding:
            say(f"  {row.name}: {row.finding}")
    told = (
        found.explained,
        other_session(found.provenance),
        other_runtime(found.provenance),
        other_processor(found.provenance),
    )
    for line in filter(None, told):
        say(f"  {line}")
    rows = [
        (one.method, one.metric, f"{one.mean:.4f}", f"{one.low:.4f} .. {one.high:.4f}", f"{one.worst:.4f}")
        for one in found.summary
    ]
    say("")
    print_table(["", "metric", "mean", "95 % interval", "worst"], rows)
    if found.layers:
        if found.layers.kernels:
            say("", found.layers.parted)
        where = f"evidence breaks at layer {found.layers.breaks}" if found.layers.breaks else "no layer loses much"
        say("", f"{where}; {len(found.layers.layers)} layers matched by {found.layers.matched}")
    for file in written:
        say(f"-> {file}")
