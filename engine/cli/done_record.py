"""One example on the command line, explained and written: the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..attribution.result import Attribution
from ..drawing.bar_chart import Feature
from ..drawing.colour_scale import ColourScale

__all__ = ["Done"]


@dataclass(frozen=True)
class Done:
    """One example, explained and written; ``row`` counts the examples of a file that holds several, ``name`` says in
    words what is explained, ``scales`` are the colours of its maps by input, ``chunks`` has the scores of a recording.
    """

    image: str
    row: int | None
    attribution: Attribution
    target: int | list[int]
    label: str | None
    name: str
    files: tuple[Path, ...]
    features: tuple[Feature, ...] = ()
    box: list[float] | None = None
    scales: Mapping[str, ColourScale] = field(default_factory=dict)
    chunks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """What is explained, in words."""
        return f"{self.name}, score {float(self.attribution.score[0]):.4g}"

    @property
    def clipping(self) -> str:
        """What the colours clip, in words, by input where there are several; empty where nothing is clipped."""
        told = {name: scale.clipping for name, scale in self.scales.items() if scale.clipping}
        return "; ".join(f"{name}: {text}" if len(self.scales) > 1 else text for name, text in told.items())

    def to_json(self) -> dict[str, Any]:
        """The record that --json prints."""
        one = self.attribution
        row = {} if self.row is None else {"row": self.row}
        delta = {} if one.delta is None else {"delta": float(one.delta[0])}
        features = {"features": [asdict(feature) for feature in self.features]} if self.features else {}
        known = {"method": one.method, "target": self.target, "label": self.label, "explained": self.name}
        known["score"] = float(one.score[0])
        known |= {} if self.box is None else {"box": self.box}
        known |= {"chunks": dict(self.chunks)} if self.chunks else {}
        faults = [text for _, text in one.provenance.get("faults", ())]
        told = {"warning": faults[0]} if faults else {}
        files = [str(file) for file in self.files]
        scale = {"scale": self._scale()} if self.scales else {}
        return {"image": self.image, **row, **known, **delta, **told, "files": files, **scale, **features}

    def _scale(self) -> dict[str, Any]:
        """The colours; by input where there are several."""
        every = {name: asdict(scale) for name, scale in self.scales.items()}
        return every if len(every) > 1 else next(iter(every.values()))
