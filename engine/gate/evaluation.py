"""``evaluate()``: how good the maps of one model are, method by method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..attribution.box_classes import known_labels
from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..errors import InputError
from ..graph.model import Model, Source
from ..loading.load import load
from ..methods import METHODS
from ..methods.baseline import Baseline
from ..methods.groups import Cells, Groups
from ..methods.occlusion import Extent
from ..optional import MEASURING, need_all
from ..runtime import Provider, provider_names
from ..samples.sample import Samples
from ..samples.sample_set import Data, modules_for, open_samples
from ..workers.chosen_workers import ChosenWorkers
from .chosen_target import LABEL, ChosenTarget, chosen_target
from .layers.cam_layer import usable_methods
from .masks import open_masks, warn_of_no_mask
from .metrics.quality import chosen_qualities
from .model_under_test import DEFAULT_METHODS, model_name
from .quality_run import QualityWork, evaluating, measured_each
from .record import EvaluationRecord, Failed, Progress
from .settings import listed, method_settings
from .software import software
from .summary import summarise

__all__ = ["EVERY", "Evaluation", "evaluate"]

TARGETS = ("top1", LABEL)
EVERY = "all"  # in the place of the names of methods


@dataclass(frozen=True, repr=False)
class Evaluation(EvaluationRecord):
    """The results of an evaluation: rows by sample, their summary, and mean deletion and insertion curves by method."""

    def report(self, folder: str | PathLike[str]) -> Path:
        """Writes one self-contained HTML page into a folder."""
        from .reports.evaluation_page import write_evaluation

        return write_evaluation(self, Path(folder))


def evaluate(
    model: Source, data: Data, *,
    methods: Sequence[str] | str = DEFAULT_METHODS, metrics: Sequence[str] | str | None = None, target: Any = "top1",
    masks: Any = None, labels: Labels | None = None, samples: int | None = None, seed: int = 0,
    score: str = "logit", layer: str | None = None, preprocess: Preprocess | None = None,
    providers: Sequence[Provider] | Provider | None = None, threads: int | None = None, memory: str | int = "1GB",
    executor: str | None = None, workers: int | None = None, address: str | None = None,
    steps: int | None = None, baseline: Baseline | None = None, rule: str | None = None, noise: float | None = None,
    relu: bool | None = None, window: Extent = None, stride: Extent = None, overlap: str | None = None,
    groups: Groups = None, cells: Cells | None = None, keep: float | None = None, kernel_width: float | None = None,
    ridge: float | None = None, composite: str | None = None, of: str | None = None,
    statistic: str | None = None, letters: int | None = None, show: str | None = None,
    options: Mapping[str, Any] | None = None,
    failed: Callable[[Failed], None] = lambda _: None, progress: Progress | None = None,
) -> Evaluation:  # fmt: skip
    """Measures on samples how good the attributions of a model are, method by method.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        data: Samples, as ``compare`` takes them.
        methods: Names of attribution methods, of ``onnxray.METHODS``; "all" for all of them: one that cannot run on the
            model has its reason in ``unmeasured``.
        metrics: Names of metrics of a map, such as "deletion" (Petsiuk et al., 2018, arXiv:1806.07421); None for all.
        target: What is explained: "top1", "label", or a target as ``explain`` takes it, or its text, as in "box:0".
        masks: Where the objects are, for "pointing-game", as ``compare`` takes them.
        labels: Names of the classes by index; None for those that the model carries.
        samples: How many samples are drawn at random; None for all, in their order.
        seed: Seed of everything that is random.
        score: "logit" (before a final Softmax or Sigmoid), "output", or the name of a tensor.
        layer: Layer that class activation maps explain; None for the last feature maps before pooling.
        preprocess: How pictures become inputs; None for what the model carries.
        providers: Execution providers, "cpu", "cuda", "openvino" or as onnxruntime names them; None for the CPU.
        threads: CPU threads of one run; None for all cores, divided among workers.
        memory: Bytes, or text such as "512MB", that sessions and one run may take beside the weights.
        executor: What runs workers, as ``compare`` takes it; None for this process alone.
        workers: Samples that are measured at the same time, likewise.
        address: Of a Ray or Dask cluster.
        steps: Points on the path of integrated-gradients. For this and the next seventeen, which ``compare`` tells more
            of, None leaves the method's own default.
        baseline: Input without evidence.
        rule: Quadrature of integrated-gradients.
        noise: Standard deviation of smoothgrad's noise, as a share of the example's range.
        relu: Whether grad-cam keeps the positive part only.
        window: Size of occlusion's window in elements.
        stride: How far that window moves.
        overlap: "mean" or "sum", over the windows that cover an element.
        groups: Elements that feature-ablation, kernel-shap, lime and shapley-sampling hide together, and that
            feature-permutation takes together: "grid", "pixels", "superpixels" or an array of integers.
        cells: Cells along each axis of such a grid, and of rise's masks.
        keep: Probability that a cell of rise's masks is open.
        kernel_width: How near to the input lime's coalitions count.
        ridge: Penalty of lime's linear model.
        composite: Which layers take which rule of lrp, such as "epsilon-plus".
        of: Method whose maps of noisy copies smoothgrad takes, such as "integrated-gradients".
        statistic: "mean", "squared" or "variance", what smoothgrad makes of those maps.
        letters: Axis of the letters in an example, of which mutagenesis makes others.
        show: "changes", "centred" or "present", what mutagenesis maps.
        options: Options of methods by name; needed for ``samples`` and ``seed`` of methods.
        failed: Called with every sample that is skipped, and why.
        progress: Called with what is being done and the share of samples that are done, 0 to 1.

    Returns:
        Evaluation: ``summary`` (mean with a 95 % interval, by method and metric), ``rows`` by sample, and mean
            ``curves`` of deletion and insertion by method; ``ranking`` has the methods in the order of insertion minus
            deletion, with what the sanity checks say; ``report`` writes a page.

    Raises:
        InputError: Data or settings that do not fit, or no sample that could be measured.
        ModelError: A model that cannot be read or run, or lacks the layer or score.
        NoGradientPath: A score that does not depend differentiably on the input.
        RuntimeUnavailable: A package of the extra ``gate``, onnxruntime or a provider that is missing.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.evaluate(digits, picture, methods=["saliency", "grad-cam"], metrics="sparseness")
        >>> [(one.method, one.metric) for one in found.summary]
        [('saliency', 'sparseness'), ('grad-cam', 'sparseness')]
        >>> 0 < found.value("saliency", "sparseness") < 1
        True
    """
    need_all(*MEASURING, *modules_for(data))
    qualities = chosen_qualities([metrics] if isinstance(metrics, str) else metrics)
    source, every = load(model), EVERY in listed(methods)
    of_methods = method_settings(
        options, steps=steps, baseline=baseline, rule=rule, noise=noise, relu=relu, window=window, stride=stride,
        overlap=overlap, groups=groups, cells=cells, keep=keep, kernel_width=kernel_width, ridge=ridge,
        composite=composite, of=of, statistic=statistic, letters=letters, show=show,
    )  # fmt: skip
    settings: dict[str, Any] = {"score": score, "layer": layer, "preprocess": preprocess, "providers": providers}
    by = ChosenWorkers(executor, workers, address)
    settings |= {"threads": by.threads(threads), "memory": memory}
    known = known_labels(source, score, labels)
    chosen = open_samples(data, source, known).drawn(samples, seed)
    wanted = _labelled(chosen_target(target, TARGETS, source, score, known), chosen)
    names = tuple(METHODS) if every else _usable(source, listed(methods), layer)
    of_metrics = [one.name for one in qualities]
    work = QualityWork(model, names, of_metrics, wanted, open_masks(masks), seed, known, settings, of_methods)
    with evaluating(work, source, chosen, by) as opened:
        found = measured_each(opened, names, failed, progress) if every else opened.measured(names, failed, progress)
    if masked := {one.name for one in qualities if one.needs_mask}:
        warn_of_no_mask(work.masks, found.rows, masked)
    about = {"digest": source.digest, "methods": list(found.rows[0].maps), "metrics": [one.name for one in qualities]}
    about |= {
        "target": wanted.text,
        "samples": samples,
        "seed": seed,
        "settings": repr(settings | of_methods),
        **software(),
    }
    about |= {"providers": provider_names(providers)}
    summary = summarise(found.rows, seed)
    return Evaluation(model_name(source), found.rows, found.failed, summary, found.curves, about, found.unmeasured)


def _usable(model: Model, methods: Sequence[str], layer: str | None) -> tuple[str, ...]:
    """The methods, of the default ones those that the model has a layer for; an InputError where none is named."""
    if not methods:
        raise InputError("no method to evaluate; name one or more")
    return usable_methods(model, methods, layer)


def _labelled(target: ChosenTarget, samples: Samples) -> ChosenTarget:
    """The target; an InputError where it needs labels that the samples have not."""
    if target.kind == LABEL and not samples.labelled:
        raise InputError("target 'label' needs labels: sub-folders named after classes, or a column named label")
    return target
