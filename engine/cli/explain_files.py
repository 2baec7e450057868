"""Explaining files: what is in them is read, explained and written, as pictures, curves, bars and numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ..attribution.faulty_maps import unusable
from ..attribution.inputs import InputReader
from ..attribution.result import Attribution
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Score, score_of
from ..data.batch import Prepared
from ..data.files import Given, is_picture, read_given
from ..data.labels import Labels
from ..errors import InputError
from ..explainer import BoxFinder, Explainer, open_box_finder
from .detected_boxes import boxes_of, in_picture, marked
from .done_record import Done
from .draw_files import Explained, written
from .explain_recording import ChunkViews, chunks_in, explained_chunks
from .explained_together import explained_together, input_bytes, together
from .explained_views import listed, named_views
from .file_batch import FileTask, RowProgress
from .map_files import write_numbers
from .options import Drawing, Recording
from .table_rows import with_rows

__all__ = ["Job"]

T = TypeVar("T")
MOST_BYTES = 2**26  # of the inputs that are explained together


@dataclass(frozen=True)
class Job:
    """How files are explained: everything but the files; without a target, every box of a detector.

    ``kinds`` says what is written of an example, ``batch_size`` how many pictures are explained together, if a number.
    """

    explainer: Explainer
    target: Any
    labels: Labels
    scores: ScoreAxes
    out: Path
    drawing: Drawing = Drawing()  # noqa: RUF009  a frozen value
    kinds: frozenset[str] = frozenset({"png"})
    batch_size: int | None = None
    recording: Recording = Recording()  # noqa: RUF009  a frozen value

    def read(self, file: Path) -> Prepared | None:
        """The input of a picture that can be explained together with others."""
        if self._most == 1 or not is_picture(file):
            return None
        return self._quoting(str(file), lambda: self._reader(file))

    def is_full(self, held: Sequence[Prepared]) -> bool:
        return len(held) >= self._most or sum(map(input_bytes, held)) >= MOST_BYTES

    def __call__(
        self, tasks: Sequence[FileTask], progress: RowProgress | None = None
    ) -> Iterator[tuple[FileTask, Iterator[Done]]]:
        """Explains every example of files, some pictures together, and writes what belongs to it."""
        found = explained_together(self.explainer, self.target, tasks, progress) if len(tasks) > 1 else {}
        for task in tasks:
            one = found.get(task.stem)
            explained = self._of_file(task, progress) if one is None else self._of_picture(task, one)
            yield task, self._written(explained, task.stem)

    def of_file(self, file: Path, stem: str) -> Iterator[Done]:
        """Explains every example of one file."""
        yield from self._written(self._of_file(FileTask(file, stem), None), stem)

    def examples(
        self, file: Path, stem: str, given: Given, score: Score, progress: RowProgress | None
    ) -> Iterator[Done]:
        """Explains every example of what was read of a file."""
        yield from self._written(self._explained(file, stem, given, score, progress), stem)

    @cached_property
    def _reader(self) -> InputReader:
        return InputReader(self.explainer.model, self.explainer.preprocess)

    @cached_property
    def _most(self) -> int:
        return 1 if self.target is None else together(self.explainer, self.batch_size)

    def _written(self, found: Iterator[Explained], stem: str) -> Iterator[Done]:
        if "png" not in self.kinds:
            return (one.done for one in found)
        return written(found, self.drawing, Path(f"{self.out / stem}-{self.explainer.method.name}.png"))

    def _of_file(self, task: FileTask, progress: RowProgress | None) -> Iterator[Explained]:
        file, stem = task.file, task.stem
        given = Given(task.held) if task.held else read_given(self.explainer.model, file, self.drawing.rate)
        if chunks := chunks_in(self.explainer.model, file, given, self.recording):
            score = score_of("top1" if self.target is None else self.target)
            arguments = (self.explainer, given, chunks, score, self.recording.at, progress)
            found = self._quoting(str(file), lambda: explained_chunks(*arguments))
            yield self._recorded(file, stem, None, found.attribution, given, score, found)
            return
        if self.target is not None:
            yield from self._explained(file, stem, given, score_of(self.target), progress)
            return
        boxes = self._quoting(str(file), lambda: boxes_of(self._finder, given))
        for box in boxes:
            yield from self._explained(file, f"{stem}-box{box.rank}", given, box, progress)

    def _of_picture(self, task: FileTask, one: Attribution) -> Iterator[Explained]:
        """A picture that was explained together with others."""
        for _, fault in one.provenance.get("faults", ()):
            warnings.warn(f"{task.file}: the {one.method} map {fault}", UserWarning, stacklevel=2)
        yield self._recorded(task.file, task.stem, None, one, Given(task.held), score_of(self.target))

    def _explained(
        self, file: Path, stem: str, given: Given, score: Score, progress: RowProgress | None
    ) -> Iterator[Explained]:
        attribution = self._quoting(str(file), lambda: self.explainer(given.inputs, score, progress=progress))
        several = len(attribution) > 1
        found = (
            self._recorded(file, f"{stem}-row{k}" if several else stem, k if several else None, one, given, score)
            for k, one in enumerate(attribution)
        )
        base = f"{self.out / stem}-{attribution.method}"
        yield from with_rows(found, attribution, given, base) if "png" in self.kinds else found

    def _quoting(self, name: str, work: Callable[[], T]) -> T:
        """The result of work on a file, which the warnings about it name."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            result = work()
        for one in told:
            warnings.warn(f"{name}: {one.message}", one.category, stacklevel=2)
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
        views = {}
        if "png" in self.kinds or not one.pictures:
            views = named_views(one, given, row or 0, self.drawing.reduce)
            views = marked(views, corners, name, score.mask_of(row or 0))
        files = write_numbers(one, base, self.kinds, self.drawing.reduce)
        done = Done(str(file), row, one, target, label, name, files, listed(views), box)
        if chunks is not None:
            views = chunks.beside(views)
            done = replace(
                done, name=f"{name}, {chunks.name}", features=listed(chunks.own(views)), chunks=chunks.record
            )
        return Explained(done, views, base)
