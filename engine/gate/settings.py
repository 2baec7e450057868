"""Settings of ``compare()``: every argument but the models and the data."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..errors import InputError
from ..graph.model import Source
from ..runtime import Provider, SessionSettings
from .chosen_target import ChosenTarget
from .masks import Masks, open_masks
from .metrics.agreement import chosen_metrics
from .model_under_test import ModelUnderTest, open_model_under_test
from .side_session import SideSession, side_session

__all__ = ["CompareSettings", "listed", "method_settings"]


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Everything about a comparison but the models and the data; ``compare`` tells what each is, and its default."""

    methods: Sequence[str]
    target: Any
    metrics: Sequence[str] | None
    fail_under: Mapping[str, float] | Sequence[str] | None
    samples: int | None
    seed: int
    calibrate: bool
    layers: bool
    masks: Any
    labels: Labels | None
    golden: str | PathLike[str] | None
    journal: str | PathLike[str] | None
    score: str
    layer: str | None
    preprocess: Preprocess | None
    providers: Sequence[Provider] | Provider | None
    candidate_providers: Sequence[Provider] | Provider | None
    reference_session: SideSession | None
    candidate_session: SideSession | None
    threads: int | None
    memory: str | int
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.methods:
            raise InputError("no method to compare with; name one or more")

    def side(self, model: Source, methods: Sequence[str]) -> ModelUnderTest:
        """The reference with explainers for the methods."""
        default = SessionSettings(self.providers, self.threads)
        session = side_session(self.reference_session, "reference_session", default)
        return self._side(model, methods, session, self.layer)

    def other_side(self, model: Source, methods: Sequence[str], layer: str | None) -> ModelUnderTest:
        """The candidate, whose ``layer`` is that of the reference where no other is named."""
        where = self.providers if self.candidate_providers is None else self.candidate_providers
        session = side_session(self.candidate_session, "candidate_session", SessionSettings(where, self.threads))
        return self._side(model, methods, session, self.layer or layer)

    def _side(
        self, model: Source, methods: Sequence[str], session: SessionSettings, layer: str | None
    ) -> ModelUnderTest:
        return open_model_under_test(
            model, methods, score=self.score, layer=layer, preprocess=self.preprocess, providers=session.providers,
            threads=session.threads, optimization=session.optimization, memory=self.memory, options=self.options,
        )  # fmt: skip

    @property
    def shared(self) -> dict[str, Any]:
        """Settings that both models must share."""
        return {"score": self.score, "layer": self.layer, "options": dict(self.options)}

    @cached_property
    def opened_masks(self) -> Masks | None:
        """The masks named by ``masks``, read once."""
        return open_masks(self.masks)

    @property
    def about(self) -> dict[str, Any]:
        """The settings that change the numbers, for the journal: it is continued only if these are the same."""
        names = ("samples", "seed", "score", "layer")
        target = self.target.text if isinstance(self.target, ChosenTarget) else self.target
        about = {"target": target} | {name: getattr(self, name) for name in names}
        about["labels"] = None if self.labels is None else f"{zlib.crc32(repr(dict(self.labels)).encode()):08x}"
        about |= {"methods": list(self.methods), "metrics": list(chosen_metrics(self.metrics))}
        about |= {"masks": held.mark if (held := self.opened_masks) else None, "options": repr(dict(self.options))}
        return about | {"preprocess": repr(self.preprocess) if self.preprocess else None}


def listed(names: Sequence[str] | str) -> tuple[str, ...]:
    """Names in their order, each once; a name alone is a list of one."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def method_settings(options: Mapping[str, Any] | None, **keywords: Any) -> dict[str, Any]:
    """The options of methods by name: those of the mapping and the keywords that are given, which are not None."""
    return {**(options or {}), **{name: value for name, value in keywords.items() if value is not None}}
