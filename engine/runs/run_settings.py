"""What is explained and how: everything that a worker needs, and the identity that a folder of results keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..attribution.axes import score_axes
from ..attribution.reductions import REDUCTIONS
from ..attribution.scores import score_of
from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..explainer import Explainer
from ..graph.model import Model
from ..loading.load import load
from ..support.choice import choose
from ..support.fingerprint import fingerprint
from ..workers.chosen_workers import pickled

__all__ = ["RunSettings"]


@dataclass(frozen=True)
class RunSettings:
    """A run but for its samples: the arguments of an Explainer, and what is kept of each explanation.

    ``batch`` samples are explained together; ``reduce`` is how a map's channels become one, as in ``Attribution.map``.
    """

    model: Path
    method: str = "saliency"
    target: Any = "top1"
    score: str = "logit"
    layer: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    labels: Labels | None = None
    reduce: str | None = None
    batch: int = 16
    provider: tuple[str, ...] = ()
    threads: int = 1
    memory: str | int = "1GB"
    options: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What results depend on, as JSON holds it, but for the model, whose digest counts."""
        return {
            "method": self.method,
            "target": _plain(self.target),
            "score": self.score,
            "layer": list(self.layer),
            "preprocess": None if self.preprocess is None else repr(self.preprocess),
            "reduce": self.reduce,
            "batch": self.batch,
            "provider": list(self.provider),
            "options": {name: _plain(value) for name, value in self.options.items()},
        }

    def check(self, model: Model) -> None:
        """What would be an error of every sample. InputError: a target that the model has not, or a list of targets,
        which each batch would begin anew; a reduction that there is not."""
        if self.reduce is not None:
            choose(self.reduce, REDUCTIONS, "reduction")
        wanted = score_of(self.target)
        axes = score_axes(wanted.prepared(model), self.score if wanted.tensor is None else wanted.tensor)
        if axes.known and axes.count is not None:
            wanted.resolve(1, axes)

    def pickled(self) -> bytes:
        """As workers get it; an InputError of a function that they could not find."""
        return pickled(self)

    def opened(self) -> Explainer:
        """The explainer."""
        return Explainer(
            load(self.model), self.method, score=self.score, layer=self.layer or None, providers=self.provider or None,
            threads=self.threads, memory=self.memory, preprocess=self.preprocess, **self.options,
        )  # fmt: skip


def _plain(value: Any) -> Any:
    """A value as it is; the digest of what has parts."""
    return value if isinstance(value, int | float | str | bool | None) else fingerprint(value)
