"""`onnxray evaluate`: how good the maps of one model are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from ..data.labels import read_labels
from ..gate.evaluation import Evaluation, evaluate
from ..gate.model_under_test import DEFAULT_METHODS
from ..gate.summary import rises
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
    named_preprocess,
    parse_options,
)
from .options import LabelsFile, ModelFile, Preset, Runtime
from .terminal import print_table, progress_bar, say, say_error, say_text

__all__ = ["evaluate_model"]


@flatten_options
def evaluate_model(
    model: ModelFile,
    data: DataPath,
    method: Methods = None,
    metric: Annotated[
        list[str] | None, Option(metavar="NAME", help="Metric of quality; repeat it for several. All by default.")
    ] = None,
    target: Annotated[str, Option(metavar="NAME", help="The class to explain: top1 or label.")] = "top1",
    masks: Masks = None,
    layer: LayerName = None,
    score: ScoreName = "logit",
    sampling: Sampling = Sampling(),  # noqa: B008  a frozen value
    report: Annotated[Path | None, Option(metavar="DIR", help="Write one HTML page with plots into DIR.")] = None,
    json: Annotated[Path | None, Option(metavar="FILE", help="Write everything as JSON; - for stdout.")] = None,
    labels: LabelsFile = None,
    preprocess: Preset = None,
    runtime: Runtime = Runtime(),  # noqa: B008  a frozen value
    option: MethodOptions = None,
) -> None:
    """Measure how good the maps of one model are: faithful, stable, sparse, dependent on the weights.

    Deletion, insertion, pointing game (with --masks), max-sensitivity, infidelity,
    completeness, sparseness, and the sanity checks by randomised weights and classes.

    \b
    Example:
      onnxray evaluate model.onnx photos -m saliency -m grad-cam --samples 50 --report out
    """
    if report is not None:
        need_all(*REPORT)
    page = report / "evaluation.html" if report else None
    outputs = [path for path in (json, page) if path is not None and str(path) != "-"]
    check_outputs(outputs, (model, *data, *filter(None, (masks, labels))))
    with progress_bar(1, worth=True) as step:
        found = evaluate(
            model, data, methods=method or DEFAULT_METHODS, metrics=metric, target=target, masks=masks,
            labels=read_labels(labels) if labels else None, samples=sampling.samples, seed=sampling.seed,
            failed=say_error, progress=step, score=score, layer=layer, preprocess=named_preprocess(model, preprocess),
            providers=runtime.provider, threads=runtime.threads, memory=runtime.memory,
            options=parse_options(option or ()),
        )  # fmt: skip
    if json is not None and str(json) != "-":
        write_text(json, found.json_text() + "\n")
    written = [str(json)] if json else []
    written += [str(found.report(report))] if report else []
    say_text(found.json_text()) if str(json) == "-" else print_evaluation(found, written)


def print_evaluation(found: Evaluation, written: Sequence[str] = ()) -> None:
    """A table of metrics by method."""
    skipped = f", {len(found.failed)} skipped" if found.failed else ""
    say(f"{found.model}: {len(found.rows)} samples{skipped}", "")
    methods = list(dict.fromkeys(one.method for one in found.summary))
    cells = {(one.method, one.metric): f"{one.mean:.4f}" for one in found.summary}
    metrics = list(dict.fromkeys(one.metric for one in found.summary))
    rows = [(f"{name} {'+' if rises(name) else '-'}", *(cells.get((m, name), "") for m in methods)) for name in metrics]
    print_table(["metric (+ more is better, - less)", *methods], rows)
    for file in written:
        say(f"-> {file}")
