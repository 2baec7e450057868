"""The two sides of a comparison, opened: in this process, or in a worker that is sent what opens them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..attribution.box_classes import known_labels
from ..attribution.memory import parse_memory
from ..graph.model import Model, Source
from ..loading.load import load
from ..samples.sample import Samples
from .check_compatible import check_compatible
from .chosen_target import chosen_target
from .explainers import SharedMemory
from .golden import is_golden, open_golden, read_header
from .layers.cam_layer import default_layer, same_layer
from .metrics.agreement import chosen_metrics
from .model_under_test import ModelUnderTest
from .outcomes import Measure, model_file
from .pair import TARGETS, Pair
from .recorded_settings import as_recorded, recorded_methods, recorded_target
from .settings import CompareSettings
from .summary import Row

__all__ = ["CompareWork", "compare_work", "model_of", "open_pair"]

NONE = Samples(0, lambda: iter(()), True)


@dataclass(frozen=True)
class CompareWork:
    """A comparison but for its samples, as workers are sent it."""

    reference: Path
    candidate: Path
    settings: CompareSettings

    def opened(self) -> tuple[Measure[Row], Model]:
        pair = open_pair(self.reference, self.candidate, self.settings)
        return lambda index, sample: pair.row(sample), model_of(pair)


def compare_work(reference: Source, candidate: Source, settings: CompareSettings) -> CompareWork:
    """The files of both models, and settings that mean the same elsewhere; an InputError of models in memory."""
    masks = settings.opened_masks
    sent = replace(settings, masks=None if masks is None else masks.absolute(), golden=None, journal=None)
    return CompareWork(model_file(reference), model_file(candidate), sent)


def model_of(pair: Pair) -> Model:
    """The model that the samples are read for."""
    return pair.reference.model if isinstance(pair.reference, ModelUnderTest) else pair.candidate.model


def open_pair(reference: Source, candidate: Source, gate: CompareSettings) -> Pair:
    """Both sides, checked against each other, without samples."""
    metrics, masks = chosen_metrics(gate.metrics), gate.opened_masks
    if is_golden(reference):
        path = Path(str(reference))
        header = read_header(path)
        opposite = load(candidate)
        methods = recorded_methods(path, header, gate.methods)
        gate = replace(gate, **as_recorded(path, header, gate.shared, methods))
        other = gate.other_side(opposite, methods, same_layer(opposite, header.get("cam_layer")))
        labels = known_labels(opposite, gate.score, gate.labels)
        wanted, held = recorded_target(path, header, gate.target), header.get("target", TARGETS[0])
        target, recorded = (chosen_target(one, TARGETS, opposite, gate.score, labels) for one in (wanted, held))
        side: Any = open_golden(path, header, other, recorded)
    else:
        model, opposite = load(reference), load(candidate)
        labels = known_labels(model, gate.score, gate.labels) or known_labels(opposite, gate.score, None)
        target = chosen_target(gate.target, TARGETS, model, gate.score, labels)
        check_compatible(model, opposite, gate.score, target.score)
        side = gate.side(model, gate.methods)
        other = gate.other_side(opposite, gate.methods, same_layer(opposite, default_layer(model), model))
    if other.preprocess is None:
        other = replace(other, preprocess=side.preprocess)
    shared = SharedMemory(parse_memory(gate.memory), [one for one in (side, other) if isinstance(one, ModelUnderTest)])
    return Pair(side, other, NONE, metrics, target, masks, shared, labels)
