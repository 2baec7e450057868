"""Two sides on one sample: what each says, and how far they agree."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from ..data.batch import Prepared
from ..data.preprocess import Preprocess
from ..drawing import heatmap
from ..errors import InputError
from ..samples.sample_set import Sample, Samples
from .explainers import SharedMemory
from .masks import Masks
from .metrics.agreement import Metric, agreement, strength
from .metrics.inside_mask import mask_agreement
from .metrics.outputs import output_agreement
from .model_under_test import Evidence, ModelUnderTest
from .summary import Row

__all__ = ["TARGETS", "Pair", "Reference", "SampleResult", "TargetKind", "resized"]

TargetKind = Literal["reference", "label", "own"]
TARGETS = ("reference", "label", "own")


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

    def prepared(self, given: Any) -> Prepared: ...

    def evidence_named(self, name: str, given: Prepared, target: int | None = None) -> Evidence: ...


@dataclass(frozen=True)
class SampleResult:
    """One sample as both sides see it."""

    sample: Sample
    given: Prepared
    reference: Evidence
    candidate: Evidence


@dataclass(frozen=True)
class Pair:
    """Reference and candidate, the samples, and what is measured of them."""

    reference: Reference
    candidate: ModelUnderTest
    samples: Samples
    metrics: Mapping[str, Metric]
    target: TargetKind = "reference"
    masks: Masks | None = None
    memory: SharedMemory | None = None

    def look(self, sample: Sample) -> SampleResult:
        """The results of both models for a sample."""
        raw = sample.load()
        self._divide_memory()
        given = self.reference.prepared(raw)
        target = sample.required_label() if self.target == "label" else None
        a = self.reference.evidence_named(sample.name, given, target)
        b = self.candidate.evidence(self._for_candidate(raw, given), None if self.target == "own" else a.target)
        self._divide_memory()  # a model with open sizes has its sessions only now
        return SampleResult(sample, given, a, b)

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
        """The numbers of a sample."""
        look = self.look(sample)
        a, b = look.reference, look.candidate
        if a.scores.shape != b.scores.shape:
            raise InputError(f"the models give {a.scores.size} and {b.scores.size} scores")
        maps = {method: self._maps(look, method) for method in b.maps}
        label = sample.label
        correct = None if label is None else (bool(a.scores.argmax() == label), bool(b.scores.argmax() == label))
        return Row(sample.name, a.target, output_agreement(a.scores, b.scores), maps, label, correct)

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
            warnings.warn(f"the candidate has a preprocessing of its own: {other} and {own}", UserWarning, stacklevel=2)
            return self.candidate.prepared(raw)
        names = [str(value.name) for value in self.candidate.model.inputs]
        return self.candidate.prepared(dict(zip(names, given.batch.feeds.values(), strict=True)))


def resized(b: np.ndarray, a: np.ndarray) -> np.ndarray:
    """A map of another size, as those of pruned layers are, at the size of the reference's."""
    if a.ndim != 2 or b.ndim != 2:
        raise InputError(f"the maps have shapes {a.shape} and {b.shape}, which cannot be compared")
    return heatmap.resize(b, (a.shape[1], a.shape[0]))
