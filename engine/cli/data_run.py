"""``onnxray run``: one method on a data set, into a folder that a later call continues."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from ..attribution.axes import score_axes
from ..attribution.box_classes import known_labels
from ..attribution.preprocess_text import preprocess_of
from ..attribution.target_words import target_of
from ..data.labels import read_labels
from ..loading.load import load
from ..runs import RunReport, read_run, run
from ..workers.executor_named import EXECUTORS
from .ending import Interrupted, finishing_at_a_signal
from .flatten_options import flatten_options
from .gate_options import DataPath
from .options import Json, LabelsFile, ModelFile, Preset, Reduce, Runtime, Setup, TargetText
from .terminal import Step, print_json, progress_bar, say, say_error

__all__ = ["run_on_data"]


@flatten_options
def run_on_data(
    model: ModelFile,
    data: DataPath,
    setup: Setup,
    out: Annotated[Path, Option(metavar="DIR", help="Folder of the results; created if missing.", show_default=False)],
    target: TargetText = "top1",
    labels: LabelsFile = None,
    preprocess: Preset = None,
    reduce: Reduce = None,
    batch: Annotated[int, Option("--batch-size", "--batch", metavar="N", help="Samples at one time.", min=1)] = 16,
    piece: Annotated[int, Option(metavar="N", help="Samples in one file of results.", min=1)] = 256,
    workers: Annotated[
        int | None,
        Option(
            metavar="N", min=0, help="Shards explained at once; by default one on each core, 0 for no other process."
        ),
    ] = None,
    executor: Annotated[
        str, Option(metavar="NAME", help="What runs the workers: " + ", ".join(EXECUTORS) + ".")
    ] = "process",
    address: Annotated[
        str | None,
        Option(metavar="ADDRESS", help="Of a Ray or Dask cluster; by default one is started on this machine."),
    ] = None,
    as_json: Json = False,
    runtime: Runtime = Runtime(),  # noqa: B008  a frozen value
    **options: Any,
) -> None:
    """Explain a whole data set: a row with scores, map and error for each sample, in Parquet files.

    The same command goes on where an earlier one was stopped or killed, and refuses
    a folder of another model, data or settings. A sample that fails is a row with
    its error, and one that kills its worker, too. Each worker runs the model on one
    thread, unless --threads says more. At Ctrl-C or SIGTERM the files in
    hand are finished. onnxray.read_run("DIR") reads the results, as does whatever
    reads Parquet. Exit code 0 if all samples have a map, 1 if some failed, 2 if all did.

    \b
    Example:
      onnxray run model.onnx photos -m grad-cam --preprocess imagenet --out maps
      onnxray run model.onnx rows.parquet -m integrated-gradients --steps 50 \\
          --out maps --workers 4
      onnxray run model.onnx photos --out maps --executor ray \\
          --address ray://head:10001
    """
    source = load(model)
    known = known_labels(source, setup.score, read_labels(labels) if labels else None)
    wanted = target_of(target, known, score_axes(source, setup.score))
    with progress_bar(1, worth=True) as step, finishing_at_a_signal() as stop:
        found = run(
            model, data, out, setup.method, wanted, score=setup.score, layer=setup.layer, labels=known, reduce=reduce,
            preprocess=preprocess_of(source, preprocess) if preprocess else None,
            batch=batch, piece=piece, workers=workers, executor=executor, address=address,
            providers=runtime.provider, threads=runtime.threads or 1,
            memory=runtime.memory, progress=_rated(step), stopped=lambda: stop.number is not None, **options,
        )  # fmt: skip
    print_json({**asdict(found), "out": str(found.out)}) if as_json else say(_line(found))
    if found.failed:
        say_error(f"{_first_error(found.out)}; 'onnxray report {found.out}' lists all")
    if stop.number is not None and found.left:
        end = Interrupted(stop.number)
        say_error(f"{found.left} samples are left; the same command goes on", end.kind)
        raise typer.Exit(end.code)
    if found.failed:
        raise typer.Exit(1 if found.done + found.before > found.failed else 2)


def _first_error(out: Path) -> str:
    """The first sample without a map, and why."""
    for batch in read_run(out).batches("id", "error"):
        for row in batch.filter(batch["error"].is_valid()).to_pylist():
            return f"the first that failed is {row['id']}: {row['error']}"
    return "samples failed"


def _rated(step: Step) -> Callable[[int, int, int], None]:
    """Progress as a share, with what is done and how fast."""
    first: tuple[float, int] | None = None  # the time of the first call, and what was done then

    def show(done: int, failed: int, count: int) -> None:
        nonlocal first
        now = time.perf_counter()
        first = first or (now, done)
        rate = f", {(done - first[1]) / (now - first[0]):.0f} a second" if now > first[0] else ""
        step(f"{done} of {count}{f', {failed} failed' if failed else ''}{rate}", done / max(count, 1))

    return show


def _line(found: RunReport) -> str:
    before = f", {found.before} done before" if found.before else ""
    left = f", {found.left} left" if found.left else ""
    failed = f", {found.failed or 'none'} of these failed"
    return f"{found.out}: {found.done} done{before}{failed}{left}, in {found.seconds:.1f} s"
