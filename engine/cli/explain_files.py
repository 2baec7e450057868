"""Explaining a file: what is in it is read, explained and written, as pictures, curves, bars and numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ..attribution.faulty_maps import unusable
from ..attribution.result import Attribution
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Score, score_of
from ..data.files import Given, read_given
from ..data.labels import Labels
from ..errors import InputError
from ..explainer import BoxFinder, Explainer, open_box_finder
from .detected_boxes import boxes_of, in_picture, marked
from .done_record import Done
from .draw_files import Explained, written
from .explain_recording import ChunkViews, chunks_in, explained_chunks
from .explained_views import listed, named_views
from .file_batch import RowProgress
from .options import Drawing, Recording
from .table_rows import with_rows

__all__ = ["Job"]

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """How files are explained: everything but the files; without a target, every box of a detector."""

    explainer: Explainer
    target: Any
    labels: Labels
    scores: ScoreAxes
    out: Path
    drawing: Drawing = Drawing()  # noqa: RUF009  a frozen value
    numbers: bool = False
    recording: Recording = Recording()  # noqa: RUF009  a frozen value

    def __call__(self, file: Path, stem: str, progress: RowProgress | None = None) -> Iterator[Done]:
        """Explains every example of a file and writes what belongs to it."""
        given = read_given(self.explainer.model, file, self.drawing.rate)
        yield from self._written(self._of_file(file, stem, given, progress), stem)

    def examples(
        self, file: Path, stem: str, given: Given, score: Score, progress: RowProgress | None
    ) -> Iterator[Done]:
        """Explains every example of what was read of a file."""
        yield from self._written(self._explained(file, stem, given, score, progress), stem)

    def _written(self, found: Iterator[Explained], stem: str) -> Iterator[Done]:
        return written(found, self.drawing, Path(f"{self.out / stem}-{self.explainer.method.name}.png"))

    def _of_file(self, file: Path, stem: str, given: Given, progress: RowProgress | None) -> Iterator[Explained]:
        if chunks := chunks_in(self.explainer.model, file, given, self.recording):
            score = score_of("top1" if self.target is None else self.target)
            asked = (self.explainer, given, chunks, score, self.recording.at, progress)
            found = self._quoting(file, lambda: explained_chunks(*asked))
            yield self._recorded(file, stem, None, found.attribution, given, score, found)
            return
        if self.target is not None:
            yield from self._explained(file, stem, given, score_of(self.target), progress)
            return
        boxes = self._quoting(file, lambda: boxes_of(self._finder, given))
        for box in boxes:
            yield from self._explained(file, f"{stem}-box{box.rank}", given, box, progress)

    def _explained(
        self, file: Path, stem: str, given: Given, score: Score, progress: RowProgress | None
    ) -> Iterator[Explained]:
        attribution = self._quoting(file, lambda: self.explainer(given.inputs, score, progress=progress))
        several = len(attribution) > 1
        found = (
            self._recorded(file, f"{stem}-row{k}" if several else stem, k if several else None, one, given, score)
            for k, one in enumerate(attribution)
        )
        yield from with_rows(found, attribution, given, f"{self.out / stem}-{attribution.method}")

    def _quoting(self, file: Path, work: Callable[[], T]) -> T:
        """The result of work on a file, which the warnings about it name."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            result = work()
        for one in told:
            warnings.warn(f"{file}: {one.message}", one.category, stacklevel=2)
        return result

    @cached_property
    def _finder(self) -> BoxFinder:
        """Finds the boxes of all files."""
        one = self.explainer
        return open_box_finder(one.model, None, one.preprocess, one.providers, one.threads)

    @property
    def long(self) -> bool:
        """Whether the method runs the model at many points."""
        return self.explainer.method.many

    def _recorded(
        self,
        file: Path,
        stem: str,
        row: int | None,
        one: Attribution,
        given: Given,
        score: Score,
        chunks: ChunkViews | None = None,
    ) -> Explained:
        """The record of one example, and what is drawn of it; its numbers are written, where they are asked for."""
        target, base = one.target[0].tolist(), f"{self.out / stem}-{one.method}"
        named, corners = score.label_of(one.target[0]), score.corners_of(one.target[0])
        label = None if named is None else self.labels.get(named)
        if fault := unusable(one.provenance):
            raise InputError(f"the {one.method} map {fault}")
        name = score.words(one.target[0], self.labels, self.scores)
        box = None if corners is None else in_picture(corners, file, self.explainer.preprocess)
        views = named_views(one, given, row or 0, self.drawing.reduce)
        views = marked(views, corners, name, score.mask_of(row or 0))
        files = (one.save(f"{base}.npz"),) if self.numbers else ()
        done = Done(str(file), row, one, target, label, name, files, listed(views), box)
        if chunks is not None:
            views = chunks.beside(views)
            done = replace(
                done, name=f"{name}, {chunks.name}", features=listed(chunks.own(views)), chunks=chunks.record
            )
        return Explained(done, views, base)
