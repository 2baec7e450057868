"""A shard explained: its samples in batches, a row for each, one file. The same shard always gives the same rows."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..attribution.axes import score_axes
from ..attribution.faulty_maps import unusable
from ..attribution.inputs import guess_preprocess
from ..attribution.result import Attribution
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Score, score_of
from ..data.files import is_picture
from ..data.labels import Labels, labels_of
from ..data.preprocess import Preprocess
from ..errors import InputError, ModelError, OnnxrayError, RuntimeUnavailable
from ..explainer import Explainer
from ..samples.collate import collated
from ..samples.locations import FilePart, Location
from ..samples.reader import Content, DataChanged, Reader
from ..samples.sample import Samples
from ..workers.piece import Piece
from .kept_maps import kept_maps
from .rows import SampleRow, write_rows
from .run_settings import RunSettings

__all__ = ["OpenedRun", "PieceDone", "Shard", "opened_run", "run_shard", "warn_of_a_guess"]

MOST_SCORES = 1024  # of one sample that are kept

Named = tuple[str, Location]


@dataclass(frozen=True)
class PieceDone:
    """A piece whose file is written: how many of its samples have an error instead of a map."""

    piece: Piece
    failed: int


@dataclass(frozen=True)
class Shard:
    """The samples of a piece: their names, and where each is."""

    piece: Piece
    names: Sequence[str]
    locations: Sequence[Location]


@dataclass(frozen=True)
class OpenedRun:
    """What a worker keeps from one shard to the next."""

    explainer: Explainer
    reader: Reader
    labels: Labels
    scores: ScoreAxes
    score: Score
    reduce: str | None
    batch: int


def run_shard(shard: Shard, settings: bytes, out: Path) -> PieceDone:
    """Explains the samples of a shard and writes their rows as one file; a sample that fails is a row with its error.

    ``settings`` are RunSettings, pickled: what they open is kept for the next shard. It depends on nothing else and may
    be called again, anywhere, also twice at a time: the file is the same.
    """
    opened = opened_run(settings)
    samples = list(zip(shard.names, shard.locations, strict=True))
    rows: list[SampleRow] = []
    for start in range(0, len(samples), opened.batch):
        rows += _batch(opened, samples[start : start + opened.batch])
    write_rows(out / shard.piece.file, rows)
    return PieceDone(shard.piece, sum(row.error is not None for row in rows))


@lru_cache(maxsize=1)
def opened_run(pickled: bytes) -> OpenedRun:
    """What pickled settings open; the last one stays open."""
    settings: RunSettings = pickle.loads(pickled)
    explainer = settings.opened()
    labels = labels_of(explainer.model) if settings.labels is None else settings.labels
    scores = score_axes(explainer.model, settings.score)
    reader, score = Reader(explainer.model), score_of(settings.target)
    return OpenedRun(explainer, reader, labels, scores, score, settings.reduce, settings.batch)


def warn_of_a_guess(explainer: Explainer, samples: Samples) -> None:
    """Warns, before any worker starts, where the preprocessing of pictures will be a guess: workers say nothing."""
    if len(samples) == 0 or explainer.preprocess or Preprocess.from_metadata(explainer.model.metadata):
        return
    (first,) = samples.locations(0, 1)
    with suppress(OnnxrayError):  # which will be the error of the sample
        pictures = isinstance(first, FilePart) and is_picture(first.source)
        if pictures or isinstance(Reader(explainer.model).read(first).given, Image.Image):
            guess_preprocess(explainer.model)


def _batch(opened: OpenedRun, samples: Sequence[Named]) -> list[SampleRow]:
    """The rows of samples that are explained together, or one by one where one of them cannot be."""
    loaded = [_loaded(opened, sample) for sample in samples]
    rows = [one if isinstance(one, SampleRow) else SampleRow(samples[k][0]) for k, one in enumerate(loaded)]
    good = {k: one for k, one in enumerate(loaded) if isinstance(one, Content)}
    for k, row in zip(good, _explained(opened, [samples[k] for k in good], [*good.values()]), strict=True):
        rows[k] = row
    return rows


def _loaded(opened: OpenedRun, sample: Named) -> Content | SampleRow:
    """What a sample holds, or the row that says why it cannot be read."""
    try:
        return opened.reader.read(sample[1])
    except DataChanged:
        raise
    except OnnxrayError as error:
        return _failed(sample, error)


def _explained(opened: OpenedRun, samples: Sequence[Named], held: Sequence[Content]) -> list[SampleRow]:
    if not samples:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # faults are kept with each row
            found, outputs = opened.explainer.with_outputs(collated([one.given for one in held]), opened.score)
        return list(_rows(opened, samples, held, found, outputs))
    except (ModelError, RuntimeUnavailable):
        raise
    except OnnxrayError as error:
        if len(samples) == 1:
            return [_failed(samples[0], error)]
        return [row for k, one in enumerate(samples) for row in _explained(opened, [one], [held[k]])]


def _rows(
    opened: OpenedRun,
    samples: Sequence[Named],
    held: Sequence[Content],
    found: Attribution,
    outputs: Mapping[str, np.ndarray],
) -> Iterator[SampleRow]:
    first, maps = next(iter(outputs.values())), kept_maps(found.map(opened.reduce))
    kept = len(first) == len(samples) and first[0].size <= MOST_SCORES
    words: dict[bytes, str] = {}  # of each target once
    for k, ((name, location), told) in enumerate(zip(samples, found.target, strict=True)):
        fault = unusable(found[k].provenance) if "faults" in found.provenance else None
        if fault is not None:
            yield _failed((name, location), InputError(f"the {found.method} map {fault}"))
            continue
        if (mark := told.tobytes()) not in words:
            words[mark] = opened.score.words(told, opened.labels, opened.scores)
        index = opened.score.label_of(told)
        yield SampleRow(
            name,
            source=held[k].source,
            digest=held[k].digest,
            target=words[mark],
            index=index,
            label=None if index is None else opened.labels.get(index),
            score=float(found.score[k]),
            delta=None if found.delta is None else float(found.delta[k]),
            scores=first[k].ravel().astype(np.float32) if kept else None,
            **maps[k],
        )


def _failed(sample: Named, error: OnnxrayError) -> SampleRow:
    return SampleRow(sample[0], source=sample[1].source, error=str(error))
