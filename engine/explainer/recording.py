"""A recording in chunks: the score of each, and the map of one of them or of all, with states carried from one on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..attribution.faulty_maps import unusable
from ..attribution.result import Attribution
from ..attribution.run import Progress
from ..attribution.scores import Score
from ..attribution.state_inputs import carried_states, state_inputs, zero_states
from ..data.chunks import Chunks
from ..errors import InputError
from .chunk_warnings import ChunkWarnings
from .explainer import Explainer

__all__ = ["ExplainedChunks", "explain_chunks"]


@dataclass(frozen=True, eq=False)
class ExplainedChunks:
    """The chunks of a recording with the score of each, the highest or the named one of them, and the map of that, or
    of the whole recording (``chosen`` is None). ``carried``: the states that each chunk has from those before it.
    ``one_target``: whether all scores are of one target, as top classes need not be."""

    chunks: Chunks
    scores: NDArray
    attribution: Attribution
    chosen: int | None
    carried: tuple[str, ...]
    one_target: bool = True


def explain_chunks(
    explainer: Explainer,
    inputs: Mapping[str, NDArray],
    chunks: Chunks,
    score: Score,
    at: int | str = "best",
    progress: Progress | None = None,
    rate: float | None = None,
) -> ExplainedChunks:
    """Explains a recording chunk by chunk; each starts with the states that those before it left.

    ``at``: "best", the chunk with the highest score; "all", the sum of the maps of all; or the number of a chunk. A map
    is one of the chunk's own samples. What is warned of some chunks is told with their numbers, and their times where
    the ``rate`` is known. InputError for a number that is none, or for maps that cannot be joined.
    """
    run = _Recording(explainer, inputs, chunks, score, ChunkWarnings(chunks, rate))
    if isinstance(at, int) and not 0 <= at < len(chunks):
        raise InputError(f"there is no chunk {at}; the recording has {len(chunks)}, counted from 0")
    found = run.joined(progress) if at == "all" else run.chosen(at, progress)
    run.warned.tell(found.chosen)
    return found


@dataclass(frozen=True, eq=False)
class _Recording:
    explainer: Explainer
    inputs: Mapping[str, NDArray]
    chunks: Chunks
    score: Score
    warned: ChunkWarnings

    @cached_property
    def states(self) -> dict[str, str]:
        return carried_states(self.explainer.model)

    def chosen(self, at: int | str, progress: Progress | None) -> ExplainedChunks:
        """The map of one chunk; scores alone are computed by a method of one run."""
        method, one = self.explainer.method, self.explainer
        unheard = ChunkWarnings(self.chunks, None)  # the scout's maps are not shown
        with unheard.of(0):
            scout = Explainer(
                one.model, "saliency", score=one.score, providers=one.providers, threads=one.threads, memory=one.memory
            ) if method.many and method.differentiates else one  # fmt: skip
        scores, targets, kept = list[float](), set[str](), None
        for k, feeds, found in self._each(scout, self.warned if scout is one else unheard, progress):
            scores.append(float(found.score[0]))
            targets.add(repr(found.target.tolist()))
            if k == at or (at == "best" and (kept is None or scores[k] > scores[kept[0]])):
                kept = k, feeds, found
        if kept is None:
            raise InputError("a recording without samples has no chunk to explain")
        best, feeds, found = kept
        own = self._of_recording(found if scout is one else one(feeds, self.score))
        return ExplainedChunks(self.chunks, np.array(scores), own, best, tuple(self.states), len(targets) == 1)

    def joined(self, progress: Progress | None) -> ExplainedChunks:
        """The sum of the maps of all chunks, over the whole recording."""
        recording, scores = self.inputs[self.chunks.name], list[float]()
        total, targets, first = np.zeros(()), set[str](), None
        for k, _, found in self._each(self.explainer, self.warned, progress):
            own = self._of_recording(found)
            if fault := unusable(own.provenance):
                raise InputError(f"the {own.method} map of chunk {k} {fault}")
            axis = self.chunks.axis + own.values.ndim - recording.ndim
            if own.values.ndim < recording.ndim or own.values.shape[axis] != self.chunks.length:
                raise InputError(f"maps of {own.method} are not of the input's samples; explain one chunk")
            if first is None:
                sizes = [n if a != axis else self.chunks.samples for a, n in enumerate(own.values.shape)]
                total, first = np.zeros(sizes, np.float32), own
            self.chunks.add(total, own.values, k, axis)
            scores.append(float(found.score[0]))
            targets.add(repr(found.target.tolist()))
        if len(targets) > 1 or first is None:
            raise InputError("the top class is not the same in all chunks; name one by target=, or explain one chunk")
        rest = {name: value for name, value in first.provenance.items() if name != "faults"}
        whole = np.broadcast_to(recording, (*[1] * (total.ndim - recording.ndim), *recording.shape))
        score = np.array([sum(scores)], np.float32)
        made = replace(first, values=total, score=score, delta=None, provenance=rest, inputs={self.chunks.name: whole})
        return ExplainedChunks(self.chunks, np.array(scores), made, None, tuple(self.states))

    def _each(
        self, explainer: Explainer, warned: ChunkWarnings, progress: Progress | None
    ) -> Iterator[tuple[int, dict[str, NDArray], Attribution]]:
        """Number, inputs and explanation of each chunk, one after the other."""
        recording, rest = self.inputs[self.chunks.name], dict(self.inputs)
        for k in range(len(self.chunks)):
            feeds = {**rest, self.chunks.name: self.chunks.take(recording, k)}
            if k == 0:
                left_out = state_inputs(explainer.model) - set(rest)
                feeds |= zero_states(explainer.model, left_out, feeds)
            with warned.of(k):
                found, outputs = explainer.with_outputs(feeds, self.score)
            yield k, feeds, found
            rest = {**feeds, **{state: outputs[output] for state, output in self.states.items()}}
            if progress is not None:
                progress(k + 1, len(self.chunks))

    def _of_recording(self, found: Attribution) -> Attribution:
        """The attribution of the recording alone, without those of states."""
        return found[self.chunks.name] if isinstance(found.values, Mapping) else found
