"""Explaining a file: what is in it is read, explained and written, as pictures, bars and numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from ..attribution.faulty_maps import unusable
from ..attribution.result import CHANNEL_AXES, TOKENS, Attribution
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Score, score_of
from ..data.files import Given, read_given
from ..data.labels import Labels
from ..drawing.bar_chart import Feature, bar_chart, rank_features
from ..errors import InputError
from ..explainer import BoxFinder, Explainer, open_box_finder
from ..support.writing import replacing
from .detected_boxes import boxed, boxes_of, in_picture
from .file_batch import RowProgress

__all__ = ["Done", "Job"]

T = TypeVar("T")
LONGEST = 64  # tokens that are drawn; of more the strongest


@dataclass(frozen=True)
class Done:
    """One example, explained and written; ``row`` counts the examples of a file that holds several, ``name`` says in
    words what is explained."""

    image: str
    row: int | None
    attribution: Attribution
    target: int | list[int]
    label: str | None
    name: str
    files: tuple[Path, ...]
    features: tuple[Feature, ...] = ()
    box: list[float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The record that --json prints."""
        one = self.attribution
        row = {} if self.row is None else {"row": self.row}
        delta = {} if one.delta is None else {"delta": float(one.delta[0])}
        features = {"features": [asdict(feature) for feature in self.features]} if self.features else {}
        known = {"method": one.method, "target": self.target, "label": self.label, "explained": self.name}
        known["score"] = float(one.score[0])
        known |= {} if self.box is None else {"box": self.box}
        faults = [text for _, text in one.provenance.get("faults", ())]
        told = {"warning": faults[0]} if faults else {}
        files = [str(file) for file in self.files]
        return {"image": self.image, **row, **known, **delta, **told, "files": files, **features}


@dataclass(frozen=True)
class _Part:
    """The attribution of one input, what it adds to the name of its file, and its features if it is a vector."""

    suffix: str
    attribution: Attribution
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class Job:
    """How files are explained: everything but the files; without a target, every box of a detector."""

    explainer: Explainer
    target: Any
    labels: Labels
    scores: ScoreAxes
    out: Path
    style: str = "figure"
    drawing: Mapping[str, Any] = field(default_factory=dict)
    numbers: bool = False

    def __call__(self, file: Path, stem: str, progress: RowProgress | None = None) -> Iterator[Done]:
        """Explains every example of a file and writes what belongs to it."""
        given = read_given(self.explainer.model, file)
        if self.target is not None:
            yield from self.examples(file, stem, given, score_of(self.target), progress)
            return
        boxes = self._quoting(file, lambda: boxes_of(self._finder, given))
        for box in boxes:
            yield from self.examples(file, f"{stem}-box{box.rank}", given, box, progress)

    def examples(
        self, file: Path, stem: str, given: Given, score: Score, progress: RowProgress | None
    ) -> Iterator[Done]:
        """Explains every example of what was read of a file."""
        attribution = self._quoting(file, lambda: self.explainer(given.inputs, score, progress=progress))
        for row, one in enumerate(attribution):
            several = len(attribution) > 1
            name = f"{stem}-row{row}" if several else stem
            yield self._done(file, name, row if several else None, one, given, score)

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
        return bool(self.explainer.method.samplers())

    def _done(self, file: Path, stem: str, row: int | None, one: Attribution, given: Given, score: Score) -> Done:
        target = one.target[0].tolist()
        named, corners = score.label_of(one.target[0]), score.corners_of(one.target[0])
        label = None if named is None else self.labels.get(named)
        if fault := unusable(one.provenance):
            raise InputError(f"the {one.method} map {fault}")
        name = score.words(one.target[0], self.labels, self.scores)
        box = None if corners is None else in_picture(corners, file, self.explainer.preprocess)
        done = Done(str(file), row, one, target, label, name, (), box=box)
        drawn = one if corners is None else boxed(one, corners, name)
        parts = _parts(drawn, given, row or 0, self.drawing.get("reduce"))
        features = parts[0].features if len(parts) == 1 else ()
        files = self._write(parts, f"{done.name}, score {float(one.score[0]):.4g}", self.out / f"{stem}-{one.method}")
        if self.numbers:
            files.append(one.save(f"{self.out / stem}-{one.method}.npz"))
        return replace(done, features=features, files=tuple(files))

    def _write(self, parts: Sequence[_Part], caption: str, base: Path) -> list[Path]:
        drawn = [(self._draw(part, caption), Path(f"{base}{part.suffix}.png")) for part in parts]
        return [_written(picture, file) for picture, file in drawn if picture is not None]

    def _draw(self, part: _Part, caption: str) -> Image.Image | None:
        one = part.attribution
        if part.features and (one.layout == TOKENS or "layer" in one.provenance):
            unit = "tokens" if one.layout == TOKENS else "places"
            return bar_chart(part.features, f"{one.method} of {caption}", top=LONGEST, unit=unit, in_order=True)
        if part.features:
            return bar_chart(part.features, f"{one.method} of {caption}")
        if not _is_map(one):
            return None
        if self.style == "figure":
            captions = (caption, one.method, "overlay") if one.pictures else (f"{one.method} of {caption}",)
            return one.figure(captions=captions, **self.drawing)
        return one.image(overlay=self.style == "overlay", **self.drawing)


def _written(picture: Image.Image, file: Path) -> Path:
    with replacing(file) as temporary:
        picture.save(temporary)
    return file


def _parts(one: Attribution, given: Given, row: int, reduce: str | None) -> list[_Part]:
    """The attribution of each input; of vectors with their features ranked, of embeddings with their tokens."""
    if "layer" in one.provenance:
        return [_Part("", one, _places(one))]
    held = given.inputs if isinstance(given.inputs, Mapping) else {}
    sources = one.provenance.get("tokens", {})
    if isinstance(one.values, Mapping):
        named = {name: one[name] for name in one.values}
        ranked = {
            name: _tokens(part, held.get(sources[name]), given.features, row, reduce)
            if name in sources
            else _features(part, held.get(name), (), row)
            for name, part in named.items()
        }
        return [_Part(f"-{_safe(name)}", part, ranked[name]) for name, part in named.items()]
    if sources:
        (source,) = sources.values()
        return [_Part("", one, _tokens(one, held.get(source, given.inputs), given.features, row, reduce))]
    return [_Part("", one, _features(one, given.inputs, given.features, row))]


def _safe(name: str) -> str:
    """An input's name as part of a file's."""
    return "".join(c if c.isalnum() else "_" for c in name)


def _features(one: Attribution, inputs: Any, names: Sequence[str], row: int) -> tuple[Feature, ...]:
    """The ranked features of a vector; nothing for maps."""
    values = np.asarray(one.values)
    if sum(size > 1 for size in values.shape[1:]) > 1 or one.pictures:
        return ()
    held = inputs[row] if isinstance(inputs, np.ndarray) and inputs.ndim > 1 else None
    same = held is not None and held.size == values.size
    return rank_features(values, held if same else None, names if len(names) == values.size else ())


def _tokens(one: Attribution, ids: Any, names: Sequence[str], row: int, reduce: str | None) -> tuple[Feature, ...]:
    """The ranked tokens of a sequence, each with one number for its embedding."""
    numbers = one.map(reduce).ravel()
    held = ids[row] if isinstance(ids, np.ndarray) and ids[row].size == numbers.size else None
    known = len(names) == numbers.size
    return rank_features(numbers, held, names if known else [f"token {k}" for k in range(numbers.size)])


def _places(one: Attribution) -> tuple[Feature, ...]:
    """The ranked places of a layer's map with one axis, as those of tokens and Conv1d are; nothing for others."""
    values = np.asarray(one.values)
    return rank_features(values, None, [f"place {k}" for k in range(values.size)]) if values.ndim == 2 else ()


def _is_map(one: Attribution) -> bool:
    shape = () if isinstance(one.values, Mapping) else one.values.shape
    channels = one.layout is not None or any(
        len(shape) == 4 and shape[axis] in (1, 3, 4) for axis in CHANNEL_AXES.values()
    )
    return len(shape) == 3 or (len(shape) == 4 and channels)
