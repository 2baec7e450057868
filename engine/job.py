"""Explaining files one at a time: each is read, explained and written before the next one is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from .attribution import CHANNEL_AXES, Attribution
from .bars import Feature, bar_chart, rank_features
from .errors import InputError, ModelError, OnnxrayError, RuntimeUnavailable
from .explain import Explainer
from .labels import Labels
from .methods import Method
from .tables import Given, read_given
from .target import score_tensor

__all__ = ["Done", "Failure", "Job", "Work", "each_file", "output_folder", "unique_stems"]

T = TypeVar("T")
Rows = Callable[[int, int], None]
Work = Callable[[Path, str, Rows | None], Iterator[T]]


@dataclass(frozen=True)
class Failure:
    """A file that could not be done."""

    file: Path
    error: OnnxrayError

    def __str__(self) -> str:
        text = str(self.error)
        return text if str(self.file) in text else f"{self.file}: {text}"


@dataclass(frozen=True)
class Done:
    """One example, explained and written; ``row`` counts the examples of a file that holds several."""

    image: str
    row: int | None
    attribution: Attribution
    target: int | list[int]
    label: str | None
    files: tuple[Path, ...]
    features: tuple[Feature, ...] = ()

    @property
    def name(self) -> str:
        """The target as people call it."""
        index = ",".join(map(str, self.target)) if isinstance(self.target, list) else str(self.target)
        return f"{self.label} ({index})" if self.label and self.label != index else f"class {index}"

    def to_json(self) -> dict[str, Any]:
        """The record that --json prints."""
        one = self.attribution
        row = {} if self.row is None else {"row": self.row}
        delta = {} if one.delta is None else {"delta": float(one.delta[0])}
        features = {"features": [asdict(feature) for feature in self.features]} if self.features else {}
        known = {"method": one.method, "target": self.target, "label": self.label, "score": float(one.score[0])}
        return {"image": self.image, **row, **known, **delta, "files": [str(file) for file in self.files], **features}


@dataclass(frozen=True)
class Job:
    """How files are explained: everything but the files."""

    explainer: Explainer
    target: Any
    labels: Labels
    out: Path
    style: str = "figure"
    drawing: Mapping[str, Any] = field(default_factory=dict)
    numbers: bool = False

    def __call__(self, file: Path, stem: str, progress: Rows | None = None) -> Iterator[Done]:
        """Explains every example of a file and writes what belongs to it."""
        given = read_given(self.explainer.model, file)
        attribution = self.explainer(given.inputs, self.target, progress=progress)
        for row, one in enumerate(attribution):
            several = len(attribution) > 1
            yield self._done(file, f"{stem}-row{row}" if several else stem, row if several else None, one, given)

    @property
    def long(self) -> bool:
        """Whether the method runs the model at many points."""
        return type(self.explainer.method).points is not Method.points

    def _index(self, flat: int) -> int | list[int]:
        """The index of a score as users give it: a list where an example's scores have several axes."""
        y = score_tensor(self.explainer.model, self.explainer.score)
        sizes = [n for n in list(y.shape or ())[1:] if isinstance(n, int)]
        if sum(n > 1 for n in sizes) < 2 or len(sizes) != len(y.shape or ()) - 1:
            return flat
        return [int(k) for k in np.unravel_index(flat, sizes)]

    def _done(self, file: Path, stem: str, row: int | None, one: Attribution, given: Given) -> Done:
        target = list(self.target) if isinstance(self.target, tuple) else self._index(int(one.target[0]))
        label = self.labels.get(target) if isinstance(target, int) else None
        done = Done(str(file), row, one, target, label, (), _features(one, given, row or 0))
        return replace(done, files=tuple(self._write(done, self.out / f"{stem}-{one.method}")))

    def _write(self, done: Done, base: Path) -> Iterator[Path]:
        for suffix, one in _parts(done.attribution):
            picture = self._draw(one, done)
            if picture is not None:
                yield _written(picture, Path(f"{base}{suffix}.png"))
        if self.numbers:
            yield done.attribution.save(f"{base}.npz")

    def _draw(self, one: Attribution, done: Done) -> Image.Image | None:
        caption = f"{done.name}, score {float(one.score[0]):.4g}"
        if done.features:
            return bar_chart(done.features, f"{one.method} of {caption}")
        if not _is_map(one):
            return None
        if self.style == "figure":
            captions = (caption, one.method, "overlay") if one.pictures else (f"{one.method} of {caption}",)
            return one.figure(captions=captions, **self.drawing)
        return one.image(overlay=self.style == "overlay", **self.drawing)


def each_file(
    files: Sequence[Path], work: Work[T], failed: Callable[[Failure], None], step: Callable[[str, float], None]
) -> Iterator[T]:
    """What ``work`` yields for each file and its unique stem; ``failed`` hears of those that raise.

    An error that is not about one file (no such layer, no runtime) ends the rest, as it would meet every one of them.
    """
    for index, (file, stem) in enumerate(zip(files, unique_stems(files), strict=True)):
        report = partial(_step, step, file.name, index)
        report(0, 1)
        try:
            yield from work(file, stem, report)
        except OnnxrayError as error:
            failed(Failure(file, error))
            if isinstance(error, ModelError | RuntimeUnavailable):
                return


def _step(step: Callable[[str, float], None], name: str, index: int, rows: int, all_rows: int) -> None:
    step(name, index + rows / all_rows)


def unique_stems(files: Iterable[Path]) -> list[str]:
    """The files' names without suffix, numbered where they would be equal, so that no output overwrites another."""
    stems: list[str] = []
    taken: set[str] = set()
    for file in files:
        numbered = (f"{file.stem}-{k}" if k > 1 else file.stem for k in range(1, len(stems) + 2))
        stem = next(name for name in numbered if name.casefold() not in taken)
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def output_folder(folder: Path) -> Path:
    """The folder, made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: no folder for the results can be made ({error.strerror})") from error
    return folder


def _written(picture: Image.Image, file: Path) -> Path:
    try:
        picture.save(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    return file


def _parts(attribution: Attribution) -> list[tuple[str, Attribution]]:
    """The attribution of each input, with what to add to the file's name where there are several."""
    if not isinstance(attribution.values, Mapping):
        return [("", attribution)]
    return [(f"-{''.join(c if c.isalnum() else '_' for c in name)}", attribution[name]) for name in attribution.values]


def _features(one: Attribution, given: Given, row: int) -> tuple[Feature, ...]:
    """The ranked features of a vector; nothing for maps, and for several inputs."""
    if isinstance(one.values, Mapping) or sum(size > 1 for size in one.values.shape[1:]) > 1 or one.pictures:
        return ()
    held = np.asarray(given.inputs)[row] if isinstance(given.inputs, np.ndarray) else None
    same = held is not None and held.size == one.values.size
    return rank_features(one.values, held if same else None, given.features)


def _is_map(one: Attribution) -> bool:
    shape = () if isinstance(one.values, Mapping) else one.values.shape
    channels = one.layout is not None or any(
        len(shape) == 4 and shape[axis] in (1, 3, 4) for axis in CHANNEL_AXES.values()
    )
    return len(shape) == 3 or (len(shape) == 4 and channels)
