"""Settings of ``compare()``: every argument but the models and the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..errors import InputError
from ..graph.model import Source
from ..runtime import Provider
from ..support.choice import choose
from .metrics.agreement import chosen_metrics
from .model_under_test import DEFAULT_METHODS, ModelUnderTest, open_model_under_test
from .pair import TARGETS, TargetKind
from .samples.masks import Masks, open_masks

__all__ = ["CompareSettings", "compare_settings"]


@dataclass(frozen=True)
class CompareSettings:
    """Everything about a comparison but the models and the data; ``compare`` tells what each is."""

    methods: Sequence[str] = DEFAULT_METHODS
    target: TargetKind = "reference"
    metrics: Sequence[str] | None = None
    fail_under: Mapping[str, float] | Sequence[str] | None = None
    samples: int | None = None
    seed: int = 0
    calibrate: bool = False
    layers: bool = True
    masks: Any = None
    labels: Labels | None = None
    golden: str | PathLike[str] | None = None
    journal: str | PathLike[str] | None = None
    score: str = "logit"
    layer: str | None = None
    preprocess: Preprocess | None = None
    providers: Sequence[Provider] | Provider | None = None
    candidate_providers: Sequence[Provider] | Provider | None = None
    threads: int | None = None
    memory: str | int = "1GB"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choose(self.target, TARGETS, "kind of target")
        if not self.methods:
            raise InputError("no method to compare with; name one or more")

    def side(self, model: Source, methods: Sequence[str]) -> ModelUnderTest:
        """The reference with explainers for the methods."""
        return self._side(model, methods, self.providers, self.layer)

    def other_side(self, model: Source, methods: Sequence[str], layer: str | None) -> ModelUnderTest:
        """The candidate, whose ``layer`` is that of the reference where no other is named."""
        where = self.providers if self.candidate_providers is None else self.candidate_providers
        return self._side(model, methods, where, self.layer or layer)

    def _side(self, model: Source, methods: Sequence[str], where: Any, layer: str | None) -> ModelUnderTest:
        return open_model_under_test(
            model, methods, score=self.score, layer=layer, preprocess=self.preprocess, providers=where,
            threads=self.threads, memory=self.memory, **self.options,
        )  # fmt: skip

    @property
    def shared(self) -> dict[str, Any]:
        """Settings that both models must share."""
        return {"score": self.score, "layer": self.layer, "options": dict(self.options)}

    @cached_property
    def opened_masks(self) -> Masks | None:
        """What ``masks`` names, read once."""
        return open_masks(self.masks)

    @property
    def about(self) -> dict[str, Any]:
        """The settings that change the numbers."""
        names = ("target", "samples", "seed", "score", "layer")
        about = {name: getattr(self, name) for name in names}
        about |= {"methods": list(self.methods), "metrics": list(chosen_metrics(self.metrics))}
        about |= {"masks": held.mark if (held := self.opened_masks) else None, "options": repr(dict(self.options))}
        return about | {"preprocess": repr(self.preprocess) if self.preprocess else None}


def compare_settings(asked: Mapping[str, Any]) -> CompareSettings:
    """The settings by name; what is none of them is an option of methods."""
    known = {name: value for name, value in asked.items() if name in CompareSettings.__dataclass_fields__}
    rest = {name: value for name, value in asked.items() if name not in known}
    methods = known.get("methods", DEFAULT_METHODS)
    methods = (methods,) if isinstance(methods, str) else tuple(dict.fromkeys(methods))
    metrics = known.get("metrics")
    metrics = (metrics,) if isinstance(metrics, str) else metrics
    options = {**known.pop("options", {}), **rest}
    return CompareSettings(**{**known, "methods": methods, "metrics": metrics, "options": options})
