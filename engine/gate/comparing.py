"""``compare()``: attributes the same inputs on two models, compares the maps, and gives a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ..attribution.scores import Class
from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..errors import InputError, OnnxrayError
from ..graph.model import Model, Source
from ..loading.load import load
from ..methods.baseline import Baseline
from ..methods.groups import Cells, Groups
from ..methods.occlusion import Extent
from ..optional import MEASURING, need_all
from ..runtime import Provider
from ..samples.sample import Samples
from ..samples.sample_set import Data, modules_for, open_samples
from ..support.caller import warn_caller
from ..support.heap import release
from ..workers.chosen_workers import ChosenWorkers
from .calibration import Calibration, calibrate
from .chosen_target import LABEL
from .comparison import Comparison, Measuring, warn_of_one_method
from .golden import Golden, Recorder, is_golden, recording
from .layers.cam_layer import usable_methods
from .layers.compare_layers import LayerReport, compare_layers
from .layers.kernels import is_one_model, with_kernels
from .masks import warn_of_no_mask
from .metrics.inside_mask import MASKED
from .model_under_test import DEFAULT_METHODS, ModelUnderTest
from .opened_pair import compare_work, model_of, open_pair
from .pair import Pair
from .provenance import provenance
from .record import Failed, Progress
from .recorded_settings import settings
from .settings import CompareSettings, listed, method_settings
from .side_session import SideSession
from .summary import Summary, check, limits_of, parse_thresholds, summarise

__all__ = ["compare"]

DEFAULT_THRESHOLDS = {"spearman": 0.5}
DEFAULT_OF_ONE_MODEL = {"spearman": 0.8}  # in two kinds of session, which differ by rounding alone
DEFAULT_CALIBRATED = {"calibrated": 0.5}


def compare(
    reference: Source, candidate: Source, data: Data, *,
    methods: Sequence[str] | str = DEFAULT_METHODS, target: Any = "reference",
    metrics: Sequence[str] | str | None = None, fail_under: Mapping[str, float] | Sequence[str] | None = None,
    samples: int | None = None, seed: int = 0, calibrate: bool = False, layers: bool = True,
    masks: Any = None, labels: Labels | None = None,
    golden: str | PathLike[str] | None = None, journal: str | PathLike[str] | None = None,
    score: str = "logit", layer: str | None = None, preprocess: Preprocess | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    candidate_providers: Sequence[Provider] | Provider | None = None,
    reference_session: SideSession | None = None, candidate_session: SideSession | None = None,
    threads: int | None = None, memory: str | int = "1GB",
    executor: str | None = None, workers: int | None = None, address: str | None = None,
    steps: int | None = None, baseline: Baseline | None = None, rule: str | None = None, noise: float | None = None,
    relu: bool | None = None, window: Extent = None, stride: Extent = None, overlap: str | None = None,
    groups: Groups = None, cells: Cells | None = None, keep: float | None = None, kernel_width: float | None = None,
    ridge: float | None = None, composite: str | None = None, of: str | None = None,
    statistic: str | None = None, letters: int | None = None, show: str | None = None,
    options: Mapping[str, Any] | None = None,
    failed: Callable[[Failed], None] = lambda _: None, progress: Progress | None = None,
) -> Comparison:  # fmt: skip
    """Compares the attributions of two models on the same inputs and decides whether they look at the same evidence.

    Args:
        reference: The trusted model: path, bytes, ModelProto or ``Model``; or the path of a golden file of it.
        candidate: The model to check, such as its int8 export, with the same inputs and number of classes.
        data: Picture files, a folder (its sub-folders are labels), a .npy, .npz, .csv or .parquet file, the folder of a
            run over these, an array ``(N, *input)``, a dict of arrays by input name, or a pair of these and labels
            ``(N,)``.
        methods: Names of attribution methods; ``onnxray.METHODS`` has them all.
        target: What both models explain. Of classes "reference" (top class of the reference), "label", or "own" (each
            model its own top class). Or a target as ``explain`` takes it, or its text: 6, ``Contrast(6, 8)`` or "6-8",
            ``Box(0)`` or "box:0". A box of the reference is found in the candidate by its class and overlap.
        metrics: Names of metrics of two maps; None for all.
        fail_under: Thresholds by metric, ``{"spearman": 0.8, "grad-cam.ssim": 0.7, "calibrated": 0.8}`` or
            ``["spearman=0.8"]``; distances fail above theirs. None: spearman 0.5, or 0.8 for one
            model in two kinds of session, or calibrated 0.5 if calibrated.
        samples: How many samples are drawn at random; None for all, in their order.
        seed: Seed of everything that is random.
        calibrate: Whether each metric is placed between noise (1) and randomised weights (0) of the reference.
        layers: Whether the activations of matching layers are compared, too.
        masks: A folder of masks named as the samples, a JSON file, or boxes ``{name: (left, top, right, bottom)}`` in
            pixels.
        labels: Names of the classes by index, which sub-folders are named by; None for those that a model carries.
        golden: Path of a golden file in which the reference is recorded.
        journal: Path of a file from which an interrupted comparison continues.
        score: "logit" (before a final Softmax or Sigmoid), "output", or the name of a tensor.
        layer: Layer that class activation maps explain; None for the last feature maps before pooling.
        preprocess: How pictures become inputs; None for what the models carry.
        providers: Execution providers of both models, "cpu", "openvino" or as onnxruntime names them; None for the CPU.
        candidate_providers: Those of the candidate; None for ``providers``.
        reference_session: Settings of the reference's sessions alone, ``{"optimization": "off"}`` or
            ``["optimization=off"]``: ``provider``, ``threads``, and ``optimization``, how far onnxruntime rewrites the
            graph ("off", "basic", "extended", "all"). So a model is compared with itself.
        candidate_session: Those of the candidate.
        threads: CPU threads of one run; None for all cores, divided among workers.
        memory: Bytes, or text such as "512MB", that sessions and one run may take beside the weights.
        executor: What runs workers, as in ``run``: "process", "ray" or "dask"; None for this process alone, or for
            processes where ``workers`` says how many. The numbers are the same where ``threads`` is the same.
        workers: Samples that are measured at the same time; None for one on each core of the executor, 0 for no worker.
        address: Of a Ray or Dask cluster, as in ``run``.
        steps: Points on the path of integrated-gradients. For this and the next seventeen, None leaves the method's own
            default, which ``onnxray methods`` lists.
        baseline: Input without evidence: a number, one per channel, an array, or "blurred".
        rule: "gauss-legendre" or "inclusive", the quadrature of integrated-gradients.
        noise: Standard deviation of smoothgrad's noise, as a share of the example's range.
        relu: Whether grad-cam keeps the positive part only.
        window: Size of occlusion's window in elements, a number or one per axis of an example.
        stride: How far that window moves, likewise.
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
        Comparison: ``passed``, ``checks`` of the thresholds, ``summary`` (mean with a 95 % interval, by method and
            metric) and ``rows`` by sample; ``report`` and ``junit`` write files.

    Raises:
        InputError: Data, settings or models that do not fit together, or no sample that could be compared.
        ModelError: A model that cannot be read or run, or lacks the layer or score.
        NoGradientPath: A score that does not depend differentiably on the input.
        RuntimeUnavailable: A package of the extra ``gate``, onnxruntime or a provider that is missing.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.compare(digits, digits, picture, methods="saliency", fail_under={"spearman": 0.9})
        >>> found.verdict, round(found.value("saliency", "spearman"), 2)
        ('pass', 1.0)
    """
    need_all(*MEASURING, *modules_for(data))
    gate = CompareSettings(
        methods=listed(methods), target=target, metrics=(metrics,) if isinstance(metrics, str) else metrics,
        fail_under=fail_under, samples=samples, seed=seed, calibrate=calibrate, layers=layers, masks=masks,
        labels=labels, golden=golden, journal=journal, score=score, layer=layer, preprocess=preprocess,
        providers=providers, candidate_providers=candidate_providers, reference_session=reference_session,
        candidate_session=candidate_session, threads=threads, memory=memory,
        options=method_settings(options, steps=steps, baseline=baseline, rule=rule, noise=noise, relu=relu,
                                window=window, stride=stride, overlap=overlap, groups=groups, cells=cells,
                                keep=keep, kernel_width=kernel_width, ridge=ridge, composite=composite, of=of,
                                statistic=statistic, letters=letters, show=show),
    )  # fmt: skip
    chosen = ChosenWorkers(executor, workers, address)
    gate = _divided(gate, chosen)
    if is_golden(reference) and reference_session is not None:
        raise InputError(f"reference_session: {reference} was recorded in sessions of its own; leave it out")
    files = reference, candidate
    if not is_golden(reference):
        reference = load(reference)
        gate = replace(gate, methods=usable_methods(reference, gate.methods, gate.layer))
    warn_of_one_method(gate.methods)
    pair = open_pair(reference, candidate, gate)
    pair = replace(pair, samples=_samples(data, model_of(pair), pair.labels, pair.target.kind, gate))
    gate = replace(gate, target=pair.target)
    work = None if chosen.here else compare_work(*files, gate)
    found = _compared(pair, gate, Measuring(chosen, work, failed, progress))
    warn_of_no_mask(gate.opened_masks, found.rows, MASKED.keys())
    return found


def _divided(gate: CompareSettings, workers: ChosenWorkers) -> CompareSettings:
    """With the threads of each worker; an InputError of what workers cannot do."""
    if gate.golden is not None and not workers.here:
        raise InputError("golden= is recorded by this process alone; leave out executor=, workers= and address=")
    return replace(gate, threads=workers.threads(gate.threads))


def _compared(pair: Pair, gate: CompareSettings, measuring: Measuring) -> Comparison:
    thresholds, progress = parse_thresholds(gate.fail_under), measuring.progress
    about = provenance(pair, gate.about)
    with _recorder(pair, gate) as recorder:
        watched = replace(pair, reference=recorder.watch(_model_side(pair, "golden"))) if recorder else pair
        journal = Path(gate.journal) if gate.journal is not None and recorder is None else None
        rows, losses = measuring.rows(watched, journal, about, gate.threads)
        summary = summarise(rows, gate.seed)
        calibration = _calibration(pair, gate, summary, progress)
        if recorder is not None:
            recorder.close(_model_side(pair, "golden"), gate.about | {"settings": settings(**gate.shared)}, calibration)
    limits = limits_of(thresholds or _default_thresholds(pair, calibration), rows)
    checks = check(limits, summary, calibration.scores if calibration else {})
    return Comparison(
        pair.reference.name, pair.candidate.name, rows, losses, summary, checks,
        about, calibration, _layers(pair, gate, progress), pair,
    )  # fmt: skip


def _default_thresholds(pair: Pair, calibration: Calibration | None) -> dict[str, float]:
    if calibration:
        return DEFAULT_CALIBRATED
    same = is_one_model(pair.reference, pair.candidate)
    default = DEFAULT_OF_ONE_MODEL if same else DEFAULT_THRESHOLDS
    return {name: value for name, value in default.items() if name in pair.metrics}


def _recorder(pair: Pair, gate: CompareSettings) -> AbstractContextManager[Recorder | None]:
    """The recorder of the golden file, if ``golden`` names one."""
    if gate.golden is None:
        return nullcontext()
    _model_side(pair, "golden")
    if not pair.target.typed:
        raise InputError(
            f"a golden file keeps a target as text, which {pair.target.text.split()[0]} of this kind has not; name it "
            "by a text, such as box:0 or mask:FILE:3"
        )
    return recording(Path(gate.golden), gate.methods)


def _samples(data: Data, model: Model, labels: Labels, kind: str | None, gate: CompareSettings) -> Samples:
    samples = open_samples(data, model, labels)
    if kind == LABEL and not samples.labelled:
        raise InputError(
            "target 'label' needs labels: sub-folders named after classes, a column or array named label, or a pair "
            "of inputs and labels"
        )
    return samples.drawn(gate.samples, gate.seed)


def _calibration(
    pair: Pair, gate: CompareSettings, summary: Sequence[Summary], step: Progress | None
) -> Calibration | None:
    if isinstance(pair.reference, Golden):
        held = pair.reference.calibration
        if gate.calibrate and held is None:
            raise InputError(f"{pair.reference.path} was recorded without --calibrate, and has no model to do it with")
        return held.placed(summary) if held else None
    if not gate.calibrate:
        return None
    side = _model_side(pair, "calibrate")
    _make_room(pair)
    tell = (lambda text: step(text, 1.0)) if step else lambda _: None
    loads = (one.load for one in pair.samples)
    return calibrate(side, loads, pair.metrics, gate.seed, tell, pair.target.score).placed(summary)


def _layers(pair: Pair, gate: CompareSettings, step: Progress | None) -> LayerReport | None:
    """Where the models part; without the reference model, or where a layer cannot be run, that stays unknown."""
    if not gate.layers or not isinstance(pair.reference, ModelUnderTest):
        return None
    if step:
        step("layers", 1.0)
    _make_room(pair)
    try:
        of_class = type(pair.target.score) is Class
        found = compare_layers(pair.reference, pair.candidate, (one.load for one in pair.samples), of_class)
        return with_kernels(found, pair.reference, pair.candidate, [one.load for one in pair.samples])
    except OnnxrayError as error:
        warn_caller(f"the layers could not be compared: {error}")
        return None
    finally:
        release()  # a report opens the explainers again


def _make_room(pair: Pair) -> None:
    """For sessions of other graphs than those of the explainers."""
    if pair.memory is not None:
        pair.memory.make_room()


def _model_side(pair: Pair, what: str) -> ModelUnderTest:
    if not isinstance(pair.reference, ModelUnderTest):
        raise InputError(f"{what} needs the reference model, not a golden file of it")
    return pair.reference
