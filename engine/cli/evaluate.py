"""`onnxray evaluate`: how good the maps of one model are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Option

from ..data.labels import read_labels
from ..gate.evaluation import Evaluation, evaluate
from ..gate.model_under_test import DEFAULT_METHODS
from ..gate.ranking import FAITHFULNESS
from ..gate.summary import rises
from ..optional import REPORT, need_all
from ..support.writing import check_outputs, write_text
from .flatten_options import flatten_options
from .gate_options import (
    DataPath,
    LayerName,
    Masks,
    MethodOptions,
    Sampling,
    ScoreName,
    TargetName,
    WorkerOptions,
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
    method: Annotated[
        list[str] | None,
        Option(
            "--method",
            "-m",
            metavar="NAME",
            help="Attribution method; repeat it for several, or all: one that "
            "cannot run gets a row with the reason. By default saliency, input-x-gradient, integrated-gradients and "
            "grad-cam.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None, Option(metavar="NAME", help="Metric of quality; repeat it for several. All by default.")
    ] = None,
    target: TargetName = "top1",
    masks: Masks = None,
    layer: LayerName = None,
    score: ScoreName = "logit",
    sampling: Sampling = Sampling(),  # noqa: B008  a frozen value
    report: Annotated[Path | None, Option(metavar="DIR", help="Write one HTML page with plots into DIR.")] = None,
    json: Annotated[Path | None, Option(metavar="FILE", help="Write everything as JSON; - for stdout.")] = None,
    labels: LabelsFile = None,
    preprocess: Preset = None,
    by: WorkerOptions = WorkerOptions(),  # noqa: B008  a frozen value
    runtime: Runtime = Runtime(),  # noqa: B008  a frozen value
    option: MethodOptions = None,
) -> None:
    """Measure how good the maps of one model are: faithful, stable, sparse, dependent on the weights.

    Deletion, insertion, pointing game (with --masks), max-sensitivity, infidelity,
    completeness, sparseness, and the sanity checks by randomised weights, by
    cascading randomisation of the upper half of the layers, and by other classes.
    The table ranks the methods by insertion minus deletion, or else by the first
    metric; the last column says of whose maps a sanity check fails.

    \b
    Example:
      onnxray evaluate model.onnx photos -m saliency -m grad-cam --samples 50 \\
          --report out
      onnxray evaluate model.onnx photos -m all --samples 5
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
            executor=by.executor, workers=by.workers, address=by.address,
            providers=runtime.provider, threads=runtime.threads, memory=runtime.memory,
            options=parse_options(option or ()),
        )  # fmt: skip
    if json is not None and str(json) != "-":
        write_text(json, found.json_text() + "\n")
    written = [str(json)] if json else []
    written += [str(found.report(report))] if report else []
    say_text(found.json_text()) if str(json) == "-" else print_evaluation(found, written)


def print_evaluation(found: Evaluation, written: Sequence[str] = ()) -> None:
    """The table of methods."""
    say(f"{found.model}: {found.counted}", "")
    print_table(*ranking_table(found), whole=2)
    for file in written:
        say(f"-> {file}")


def ranking_table(found: Evaluation) -> tuple[list[str], list[tuple[str, ...]]]:
    """Headings and rows of the table of methods, the best first; + behind a metric: more is better, -: less."""
    metrics = list(dict.fromkeys(one.metric for one in found.summary))
    own = [found.ranked_by] if found.ranked_by == FAITHFULNESS else []
    columns = ["rank", "method", *(f"{FAITHFULNESS} +" for _ in own)]
    columns += [name.replace("-", "-\n", 1) + (" +" if rises(name) else " -") for name in metrics]
    rows = [
        (
            "" if one.rank is None else str(one.rank),
            one.method,
            *(_number(one.score) for _ in own),
            *(_number(one.values.get(name)) for name in metrics),
            one.sanity if not one.reason else one.reason,
        )
        for one in found.ranking
    ]
    return [*columns, "sanity checks"], rows


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
