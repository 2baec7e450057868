"""A long recording on the command line: its chunks, which of them is explained, and what is drawn beside its map."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..attribution.result import Attribution
from ..attribution.scores import Score
from ..attribution.state_inputs import carried_states
from ..data.audio import WAV
from ..data.chunks import Chunks, chunks_of
from ..data.files import Given, is_picture
from ..drawing.series import CURVES, TimeAxis
from ..drawing.views import View
from ..errors import InputError
from ..explainer import Explainer
from ..explainer.recording import ExplainedChunks, explain_chunks
from ..graph.model import Model
from .file_batch import RowProgress
from .options import Recording

__all__ = ["ChunkViews", "chunks_in", "explained_chunks"]


@dataclass(frozen=True, eq=False)
class ChunkViews:
    """The explained chunks of a recording, and what is drawn and told of them."""

    found: ExplainedChunks
    recording: np.ndarray
    rate: float | None

    @property
    def attribution(self) -> Attribution:
        return self.found.attribution

    @property
    def name(self) -> str:
        """Which part of the recording the map is of, in words."""
        if self.found.chosen is None:
            return "all chunks added up"
        start = self.found.chunks.start(self.found.chosen)
        return self.axis.text(max(start, 0), min(start + self.found.chunks.length, self.found.chunks.samples))

    @property
    def axis(self) -> TimeAxis:
        """The time of the whole recording."""
        return TimeAxis(self.found.chunks.samples, self.rate)

    @property
    def record(self) -> dict[str, Any]:
        """What --json says of the chunks."""
        chunks, unit = self.found.chunks, self.rate or 1
        starts = [round(chunks.start(k) / unit, 6) for k in range(len(chunks))]
        told = {"samples": chunks.length, "apart": chunks.hop, "explained": self.found.chosen}
        return {**told, "starts": starts, "scores": np.round(self.found.scores, 6).tolist()}

    def beside(self, views: Mapping[str, View]) -> dict[str, View]:
        """The view of the map, below it the recording and the score of each chunk, with the explained one marked."""
        chunks, chosen = self.found.chunks, self.found.chosen
        axis, every = self.axis, TimeAxis(len(chunks), None if self.rate is None else self.rate / chunks.hop, "chunks")
        scores = View(
            "series", self._mark(len(chunks), chosen, 1), data=self.found.scores[None], axis=every, aside=True
        )
        own = {f"{name or chunks.name}, {self.name}": self._shifted(view) for name, view in views.items()}
        curves = np.moveaxis(self.recording, chunks.axis, -1).reshape(-1, chunks.samples)
        if not own:
            return {"score of each chunk (the map has no picture; --npz writes its numbers)": scores}
        if chosen is None or len(curves) > CURVES:
            return {**own, "score of each chunk": scores}
        mark = self._mark(chunks.samples, chosen, chunks.hop)
        whole = View("series", np.repeat(mark, len(curves), 0), data=curves, axis=axis, aside=True)
        return {**own, "the recording": whole, "score of each chunk": scores}

    def own(self, views: Mapping[str, View]) -> dict[str, View]:
        """The view of the map alone; none where maps of its shape have none."""
        return {name: view for name, view in views.items() if not view.aside}

    def _shifted(self, view: View) -> View:
        """The map of a chunk with the time of the recording."""
        if self.found.chosen is None or view.axis is None:
            return view
        return replace(view, axis=replace(view.axis, start=self.found.chunks.start(self.found.chosen)))

    def _mark(self, size: int, chosen: int | None, width: int) -> np.ndarray:
        """One at the samples that the explained chunk adds, (1, size)."""
        mark = np.zeros((1, size), np.float32)
        if chosen is not None:
            mark[:, chosen * width : (chosen + 1) * width] = 1
        return mark


def chunks_in(model: Model, file: Path, given: Given, recording: Recording) -> Chunks | None:
    """The chunks of a file that is a recording longer than the model takes; None for any other.

    InputError where options name a part of what is no such recording.
    """
    sound, found = file.suffix.lower() == WAV or bool(carried_states(model)), None
    if not is_picture(file):
        found = chunks_of(model, _arrays(model, given), given.rate, recording.chunk, sound)
    if found is None and (recording.at not in ("best", "all") or (recording.chunk and is_picture(file))):
        raise InputError(f"{file} is taken whole; --at and --chunk are for recordings longer than the model takes")
    return found


def explained_chunks(
    explainer: Explainer, given: Given, chunks: Chunks, score: Score, at: str, progress: RowProgress | None
) -> ChunkViews:
    """Explains the chunks of a file, and says in a line what was done."""
    arrays = _arrays(explainer.model, given)
    found = explain_chunks(explainer, arrays, chunks, score, _place(at, chunks, given.rate), progress, given.rate)
    shown = ChunkViews(found, arrays[chunks.name], given.rate)
    warnings.warn(_told(shown), UserWarning, stacklevel=2)
    return shown


def _told(shown: ChunkViews) -> str:
    found = shown.found
    chunks, states = found.chunks, ", ".join(map(repr, found.carried))
    carried = f"; {states} zero at the first, then carried on from chunk to chunk" if states else ""
    cut = f"cut into {len(chunks)} chunks of {chunks.length} samples, {chunks.hop} apart{carried}"
    if found.chosen is None:
        return f"{cut}; the map is the sum of those of all chunks"
    of = "with the highest score" if found.scores[found.chosen] == found.scores.max() else "asked for"
    each = "" if found.one_target else ", each chunk's that of its own top class"
    return f"{cut}; the map is of the chunk {of}{each}, {shown.name} (--at all adds up those of all)"


def _place(at: str, chunks: Chunks, rate: float | None) -> int | str:
    """The chunk that a text names: "best", "all", or the one whose new samples hold a time."""
    if at in ("best", "all"):
        return at
    try:
        time = float(at)
    except ValueError:
        raise InputError(f"--at {at!r}: give best, all or a time in {'seconds' if rate else 'samples'}") from None
    return chunks.at(time * (rate or 1), f"--at {at}: the recording ends at {chunks.samples / (rate or 1):g}")


def _arrays(model: Model, given: Given) -> dict[str, np.ndarray]:
    return dict(given.inputs) if isinstance(given.inputs, Mapping) else {str(model.inputs[0].name): given.inputs}
