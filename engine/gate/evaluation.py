"""evaluate(): how good the maps of one model are, method by method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..attribution.axes import score_axes
from ..attribution.memory import parse_memory
from ..attribution.target_text import fitting_labels
from ..data.labels import Labels
from ..errors import InputError, ModelError, OnnxrayError, RuntimeUnavailable
from ..graph.model import Source
from ..loading.load import load
from ..optional import METRICS, need_all
from ..support.choice import choose
from .explainers import SharedMemory
from .layers.cam_layer import usable_methods
from .layers.randomise import randomised
from .metrics.quality import QUALITIES, area, chosen_qualities, curve
from .metrics.quality_case import QualityCase
from .model_under_test import DEFAULT_METHODS, ModelUnderTest, open_model_under_test
from .record import EvaluationRecord, Failed, Progress, at_least_one
from .samples.masks import Masks, open_masks, warn_of_no_mask
from .samples.sample_set import Data, Sample, Samples, modules_for, open_samples
from .software import software
from .summary import Row, summarise

__all__ = ["Evaluation", "evaluate"]

CURVES = {"deletion": False, "insertion": True}


@dataclass(frozen=True)
class Evaluation(EvaluationRecord):
    """What an evaluation found: rows by sample, their summary, and mean curves of deletion and insertion by method."""

    def report(self, folder: str | PathLike[str]) -> Path:
        """Writes one self-contained HTML page into a folder."""
        from .reports.evaluation_page import write_evaluation

        return write_evaluation(self, Path(folder))


def evaluate(
    model: Source,
    data: Data,
    *,
    methods: Sequence[str] | str = DEFAULT_METHODS,
    metrics: Sequence[str] | None = None,
    target: str = "top1",
    masks: Any = None,
    labels: Labels | None = None,
    samples: int | None = None,
    seed: int = 0,
    failed: Callable[[Failed], None] = lambda _: None,
    progress: Progress | None = None,
    **settings: Any,
) -> Evaluation:
    """Measures the maps of a model on samples, by ``metrics`` of ``QUALITIES``, all by default.

    ``target`` is "top1" or "label". ``data``, ``masks``, ``labels``, ``samples`` and ``seed`` are those of ``compare``;
    ``settings`` are those of ``Explainer`` and options of methods.
    """
    need_all(*METRICS, *modules_for(data))
    names = chosen_qualities([metrics] if isinstance(metrics, str) else metrics)
    wanted = (methods,) if isinstance(methods, str) else tuple(dict.fromkeys(methods))
    source = load(model)
    side = open_model_under_test(source, usable_methods(source, wanted, settings.get("layer")), **settings)
    known = fitting_labels(side.model, score_axes(side.model, side.score), labels)
    chosen = open_samples(data, side.model, known).drawn(samples, seed)
    _check_target(target, chosen)
    other = side.with_model(randomised(side.model, seed)) if "parameter-randomisation" in names else None
    shared = SharedMemory(parse_memory(settings.get("memory", "1GB")), [side, other] if other else [side])
    work = _Work(side, other, names, target == "label", open_masks(masks), seed, shared)
    rows, losses = [], []
    for index, sample in enumerate(chosen):
        if progress:
            progress(sample.name, index / len(chosen))
        try:
            rows.append(work.row(sample, index))
        except (ModelError, RuntimeUnavailable):
            raise
        except (OnnxrayError, OSError) as error:
            losses.append(Failed(sample.name, " ".join(str(error).split())))
            failed(losses[-1])
    at_least_one(rows, losses)
    if "pointing-game" in names:
        warn_of_no_mask(work.masks, rows, "pointing-game")
    about = {"digest": side.digest, "methods": list(side.explainers), "metrics": names, "target": target}
    about |= {"samples": samples, "seed": seed, "settings": repr(settings), **software(), "providers": side.where}
    return Evaluation(side.name, tuple(rows), tuple(losses), summarise(rows, seed), work.means(len(rows)), about)


@dataclass
class _Work:
    """How a sample is measured, and the sums of its curves."""

    side: ModelUnderTest
    random_side: ModelUnderTest | None
    metrics: Sequence[str]
    by_label: bool
    masks: Masks | None
    seed: int
    memory: SharedMemory
    sums: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def row(self, sample: Sample, index: int) -> Row:
        given = self.side.prepared(sample.load())
        if self.by_label and sample.label is None:
            raise InputError("it has no label, which target 'label' needs")
        self.memory.divide()
        found = self.side.evidence(given, sample.label if self.by_label else None)
        maps = {}
        for method, values in found.maps.items():
            rng = np.random.default_rng((self.seed, index))
            subject = QualityCase(self.side, given, found.target, method, values, rng, self.random_side)
            if self.masks is not None:
                mask = self.masks.of(sample, given, subject.plane.shape)
                subject = QualityCase(self.side, given, found.target, method, values, rng, self.random_side, mask)
            measured = {name: self._measure(subject, name) for name in self.metrics}
            maps[method] = {name: float(value) for name, value in measured.items() if value is not None}
        self.memory.divide()  # some sessions are opened by the metrics
        return Row(sample.name, found.target, {}, maps, sample.label)

    def _measure(self, subject: QualityCase, name: str) -> float | None:
        if name not in CURVES:
            return QUALITIES[name](subject)
        values = curve(subject, insert=CURVES[name])
        held = self.sums.setdefault(name, {})
        held[subject.method] = held.get(subject.method, 0) + values
        return area(values)

    def means(self, count: int) -> dict[str, dict[str, tuple[float, ...]]]:
        """The mean curves."""
        return {
            name: {method: tuple((total / count).tolist()) for method, total in held.items()}
            for name, held in self.sums.items()
        }


def _check_target(target: str, samples: Samples) -> None:
    choose(target, ("top1", "label"), "kind of target")
    if target == "label" and not samples.labelled:
        raise InputError("target 'label' needs labels: sub-folders named after classes, or a column named label")
