"""``compare()``: attributes the same inputs on two models, compares the maps, and gives a verdict."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..attribution.axes import score_axes
from ..attribution.memory import parse_memory
from ..attribution.target_text import fitting_labels
from ..errors import InputError, OnnxrayError
from ..graph.model import Source
from ..loading.load import load
from ..optional import METRICS, need_all
from ..support.heap import release
from .calibration import Calibration, calibrate
from .check_compatible import check_compatible
from .comparison import Comparison, measure, warn_of_one_method
from .explainers import SharedMemory
from .golden import Golden, Recorder, is_golden, open_golden, read_header, recording
from .layers.cam_layer import default_layer, same_layer, usable_methods
from .layers.compare_layers import LayerReport, compare_layers
from .metrics.agreement import chosen_metrics
from .model_under_test import ModelUnderTest
from .pair import Pair
from .provenance import provenance
from .record import Failed, Progress, at_least_one
from .recorded_settings import as_recorded, recorded_methods, settings
from .samples.masks import warn_of_no_mask
from .samples.sample_set import Data, Samples, modules_for, open_samples
from .settings import CompareSettings, compare_settings
from .summary import MASKED, Summary, check, parse_thresholds, summarise

__all__ = ["compare"]

DEFAULT_THRESHOLDS = {"spearman": 0.5}
DEFAULT_CALIBRATED = {"calibrated": 0.5}


def compare(
    reference: Source,
    candidate: Source,
    data: Data,
    *,
    failed: Callable[[Failed], None] = lambda _: None,
    progress: Progress | None = None,
    **asked: Any,
) -> Comparison:
    """Whether two models look at the same evidence: attributions of the same inputs on both, and a verdict.

    ``reference`` may be a golden file. ``data``: picture files, a folder (sub-folders are labels), .npy, .npz, .csv or
    .parquet, arrays, or a pair of arrays and labels. The callback ``failed`` gets every skipped sample. Settings:

    methods: names, several of them; ``options`` go to those that have them. target: whose class is explained on both,
    "reference" (its top class), "label", or "own" (each side its top class). metrics: names, all by default.
    fail_under: thresholds by metric, {"spearman": 0.8, "grad-cam.ssim": 0.7, "calibrated": 0.8}; distances fail above.
    samples, seed: so many at random. calibrate: place the numbers between noise and randomised weights. layers: where
    the models part. masks: a folder of masks, or boxes by sample. golden: record the reference into this file.
    journal: where an interrupted comparison continues. score, layer, preprocess, providers, candidate_providers,
    threads and memory are those of ``Explainer``.
    """
    need_all(*METRICS, *modules_for(data))
    gate = compare_settings(asked)
    if not is_golden(reference):
        reference = load(reference)
        gate = replace(gate, methods=usable_methods(reference, gate.methods, gate.layer))
    thresholds, metrics = parse_thresholds(gate.fail_under), chosen_metrics(gate.metrics)
    warn_of_one_method(gate.methods)
    pair = _pair(reference, candidate, data, gate)
    losses: list[Failed] = []
    about = provenance(pair, gate.about)
    with _recorder(pair, gate) as recorder:
        watched = replace(pair, reference=recorder.watch(_model_side(pair, "golden"))) if recorder else pair
        journal = Path(gate.journal) if gate.journal is not None and recorder is None else None
        rows = tuple(measure(watched, journal, about, _both(losses.append, failed), progress))
        at_least_one(rows, losses)
        warn_of_no_mask(pair.masks, rows, MASKED)
        summary = summarise(rows, gate.seed)
        calibration = _calibration(pair, gate, summary, progress)
        if recorder is not None:
            recorder.close(_model_side(pair, "golden"), gate.about | {"settings": settings(**gate.shared)}, calibration)
    default = DEFAULT_CALIBRATED if calibration else {k: v for k, v in DEFAULT_THRESHOLDS.items() if k in metrics}
    checks = check(thresholds or default, summary, calibration.scores if calibration else {})
    return Comparison(
        pair.reference.name, pair.candidate.name, rows, tuple(losses), summary, checks,
        about, calibration, _layers(pair, gate, progress), pair,
    )  # fmt: skip


def _recorder(pair: Pair, gate: CompareSettings) -> AbstractContextManager[Recorder | None]:
    """The recorder of the golden file, if ``golden`` names one."""
    if gate.golden is None:
        return nullcontext()
    _model_side(pair, "golden")
    return recording(Path(gate.golden), gate.methods)


def _pair(reference: Source, candidate: Source, data: Data, gate: CompareSettings) -> Pair:
    """Both sides, checked against each other, and the samples."""
    metrics, masks = chosen_metrics(gate.metrics), gate.opened_masks
    if is_golden(reference):
        path = Path(str(reference))
        header = read_header(path)
        opposite = load(candidate)
        methods = recorded_methods(path, header, gate.methods)
        gate = replace(gate, **as_recorded(path, header, gate.shared, methods))
        other = gate.other_side(opposite, methods, same_layer(opposite, header.get("cam_layer")))
        side: Any = open_golden(path, header, other)
    else:
        source, opposite = load(reference), load(candidate)
        check_compatible(source, opposite, gate.score)
        side = gate.side(source, gate.methods)
        other = gate.other_side(opposite, gate.methods, same_layer(opposite, default_layer(source), source))
    if other.recipe is None:
        other = replace(other, recipe=side.recipe)
    samples = _samples(data, side, other, gate)
    shared = SharedMemory(parse_memory(gate.memory), [one for one in (side, other) if isinstance(one, ModelUnderTest)])
    return Pair(side, other, samples, metrics, gate.target, masks, shared)


def _samples(data: Data, side: Any, other: ModelUnderTest, gate: CompareSettings) -> Samples:
    model = other.model if isinstance(side, Golden) else side.model
    known = fitting_labels(model, score_axes(model, gate.score), gate.labels)
    known = known or fitting_labels(other.model, score_axes(other.model, gate.score), None)
    samples = open_samples(data, model, known)
    if gate.target == "label" and not samples.labelled:
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
    return calibrate(side, (one.load for one in pair.samples), pair.metrics, gate.seed, tell).placed(summary)


def _layers(pair: Pair, gate: CompareSettings, step: Progress | None) -> LayerReport | None:
    """Where the models part; without the reference model, or where a layer cannot be run, that stays unknown."""
    if not gate.layers or not isinstance(pair.reference, ModelUnderTest):
        return None
    if step:
        step("layers", 1.0)
    _make_room(pair)
    try:
        return compare_layers(pair.reference, pair.candidate, (one.load for one in pair.samples))
    except OnnxrayError as error:
        warnings.warn(f"the layers could not be compared: {error}", UserWarning, stacklevel=3)
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


def _both(*callbacks: Callable[[Failed], None]) -> Callable[[Failed], None]:
    def tell(failure: Failed) -> None:
        for callback in callbacks:
            callback(failure)

    return tell
