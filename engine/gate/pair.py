"""Two sides on one sample: what each says, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..attribution.run import MissingTarget
from ..attribution.scores import Class
from ..data.batch import Prepared
from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..drawing import heatmap
from ..errors import InputError
from ..samples.sample import Sample, Samples
from ..support.caller import warn_caller
from .chosen_target import LABEL, ChosenTarget
from .explainers import SharedMemory
from .masks import Masks
from .metrics.agreement import Metric, agreement, strength
from .metrics.inside_mask import mask_agreement
from .metrics.outputs import FOUND, output_agreement
from .missing_box import missing_box
from .model_under_test import Evidence, ModelUnderTest
from .sample_warnings import warnings_of
from .summary import Corners, Row

__all__ = ["TARGETS", "Pair", "Reference", "SampleResult", "resized"]

OWN = "own"
TARGETS = ("reference", LABEL, OWN)
REFERENCE = ChosenTarget("reference", Class(), "reference")
THERE, ABSENT = np.ones(1), np.zeros(1)  # whether a side has what is explained


class Reference(Protocol):
    """The reference of a comparison: a model, or the golden file of a model."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def preprocess(self) -> Preprocess | None: ...

    @property
    def where(self) -> Sequence[str]: ...

    @property
    def session(self) -> Mapping[str, Any]: ...

    def prepared(self, given: Any) -> Prepared: ...

    def evidence_named(self, name: str, given: Prepared, target: Any = "top1") -> Evidence: ...


@dataclass(frozen=True)
class SampleResult:
    """One sample as both sides see it."""

    sample: Sample
    given: Prepared
    reference: Evidence
    candidate: Evidence

    @property
    def correct(self) -> tuple[bool, bool] | None:
        """Whether each side's top class is the label; None where there is no label, or no class is explained."""
        label, sides = self.sample.label, (self.reference, self.candidate)
        if label is None or not self.reference.target.is_class:
            return None
        a, b = (bool(side.scores.argmax() == label) for side in sides)
        return a, b

    @property
    def boxes(self) -> tuple[Corners, Corners] | None:
        """The explained box of each side, in pixels of the model's input."""
        a, b = self.reference.target.corners, self.candidate.target.corners
        return None if a is None or b is None else (_four(a), _four(b))


@dataclass(frozen=True)
class Pair:
    """Reference and candidate, the samples, and what is measured of them."""

    reference: Reference
    candidate: ModelUnderTest
    samples: Samples
    metrics: Mapping[str, Metric]
    target: ChosenTarget = REFERENCE
    masks: Masks | None = None
    memory: SharedMemory | None = None
    labels: Labels = field(default_factory=dict)

    def look(self, sample: Sample) -> SampleResult:
        """The results of both models for a sample."""
        raw = sample.load()
        given, a = self._of_reference(sample, raw)
        return SampleResult(sample, given, a, self._of_candidate(self._for_candidate(raw, given), a))

    def _of_reference(self, sample: Sample, raw: Any) -> tuple[Prepared, Evidence]:
        self._divide_memory()
        given = self.reference.prepared(raw)
        with warnings_of("reference"):
            return given, self.reference.evidence_named(sample.name, given, self.target.of(sample))

    def _of_candidate(self, given: Prepared, a: Evidence) -> Evidence:
        """The candidate's evidence for the same; a MissingTarget where it has no such box."""
        target = self.target.score if self.target.kind == OWN else a.target.elsewhere
        with warnings_of("candidate"):
            found = self.candidate.evidence(given, target)
        self._divide_memory()  # a model with open sizes has its sessions only now
        return found

    def only(self, method: str) -> Pair:
        """The pair for one method; explainers of others are closed where memory is short."""
        if self.memory is not None:
            self.memory.make_room()
        one = self.reference.only(method) if isinstance(self.reference, ModelUnderTest) else self.reference
        return replace(self, reference=one, candidate=self.candidate.only(method))

    def _divide_memory(self) -> None:
        if self.memory is not None:
            self.memory.divide()

    def row(self, sample: Sample) -> Row:
        """The numbers of a sample; where the candidate has not what the reference explains, that is its finding."""
        raw = sample.load()
        given, a = self._of_reference(sample, raw)
        other = self._for_candidate(raw, given)
        told: dict[str, Any] = {"label": sample.label, "explained": a.target.words(self.labels)}
        try:
            b = self._of_candidate(other, a)
        except MissingTarget:
            finding = missing_box(self.candidate, other, a.target, self.labels)
            absent = output_agreement(THERE, ABSENT, [FOUND])
            return Row(sample.name, a.target.name, absent, {}, **told, finding=finding)
        if a.scores.shape != b.scores.shape:
            raise InputError(f"the models give {a.scores.size} and {b.scores.size} scores")
        look = SampleResult(sample, given, a, b)
        maps = {method: self._maps(look, method) for method in b.maps}
        return Row(sample.name, a.target.name, _outputs(a, b), maps, **told, correct=look.correct, boxes=look.boxes)

    def _maps(self, look: SampleResult, method: str) -> dict[str, float]:
        a, b = look.reference.maps[method], look.candidate.maps[method]
        if a.shape != b.shape:
            b = resized(b, a)
        return agreement(a, b, self.metrics) | self._inside(look, a, b)

    def _inside(self, look: SampleResult, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        """How far the shares of evidence inside of a mask agree, and whether the same side of it is pointed at."""
        mask = self.masks.of(look.sample, look.given, strength(a).shape) if self.masks else None
        return {} if mask is None else mask_agreement(a, b, mask)

    def _for_candidate(self, raw: Any, given: Prepared) -> Prepared:
        """The candidate's input: the reference's own arrays, unless it carries another preprocessing of pictures."""
        other, own = self.candidate.preprocess, given.preprocess
        if own is not None and other is not None and other != own:
            warn_caller(f"the candidate has a preprocessing of its own: {other} and {own}")
            return self.candidate.prepared(raw)
        names = [str(value.name) for value in self.candidate.model.inputs]
        return self.candidate.prepared(dict(zip(names, given.batch.feeds.values(), strict=True)))


def _outputs(a: Evidence, b: Evidence) -> dict[str, float]:
    """How far the answers agree: those of classes by the top ones, others by what is explained."""
    if a.target.is_class:
        return output_agreement(a.scores, b.scores)
    found = output_agreement(THERE, THERE, [FOUND]) if a.target.is_found else {}
    if a.target.corners is not None and b.target.corners is not None:
        found |= output_agreement(a.target.corners, b.target.corners, ["box-iou"])
    if a.target.boxes is not None and b.target.boxes is not None:
        found |= output_agreement(np.array([a.target.boxes]), np.array([b.target.boxes]), ["count-change"])
    found |= output_agreement(np.array([a.score]), np.array([b.score]), ["score-change"])
    return found if a.target.is_found else found | output_agreement(a.scores, b.scores, ["score-drift"])


def _four(corners: np.ndarray) -> Corners:
    x1, y1, x2, y2 = np.asarray(corners, np.float64).tolist()
    return x1, y1, x2, y2


def resized(b: np.ndarray, a: np.ndarray) -> np.ndarray:
    """A map of another size, as those of pruned layers are, at the size of the reference's."""
    if a.ndim != 2 or b.ndim != 2:
        raise InputError(f"the maps have shapes {a.shape} and {b.shape}, which cannot be compared")
    return heatmap.resize(b, (a.shape[1], a.shape[0]))
