"""What a report says of a run, in three walks through its rows, so that memory does not grow with its maps."""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...optional import import_extra
from ..run_table import RunTable
from .coarse_maps import coarse, map_batches

__all__ = ["ClassMaps", "ErrorKind", "Example", "RunStatistics", "error_kind", "run_statistics"]

FEWEST = 3  # maps of a class, from which on one of them can be far from the others
ALL = "all samples"  # the class of a run whose target is none


@dataclass(frozen=True)
class ErrorKind:
    """Errors that differ in names and numbers alone: how many, and the first sample with its error."""

    kind: str
    count: int
    sample: str
    error: str


@dataclass(frozen=True)
class ClassMaps:
    """The samples of a class: how many have a map, their mean score, and the mean of their maps of the usual shape."""

    name: str
    count: int
    score: float
    mean: NDArray[np.float32] | None


@dataclass(frozen=True)
class Example:
    """A sample that is shown: its row without the map, its map between -1 and 1, its distance to its class."""

    row: Mapping[str, Any]
    map: NDArray[np.float32]
    distance: float | None


@dataclass(frozen=True)
class RunStatistics:
    """The numbers of a report.

    ``distances`` are one for each map of a class of at least three: one less the cosine between the coarse map and the
    mean of the others of its class, 0 to 2. ``best`` and ``worst`` are the samples of the highest and lowest scores,
    ``gaps`` those of the largest gaps of completeness.
    """

    rows: int
    failed: int
    errors: Sequence[ErrorKind]
    scores: NDArray[np.float32]
    deltas: NDArray[np.float32]
    distances: NDArray[np.float32]
    classes: Sequence[ClassMaps]
    outliers: Sequence[Example]
    best: Sequence[Example]
    worst: Sequence[Example]
    gaps: Sequence[Example]


@dataclass
class _Sums:
    """Of a class: the sum of its coarse maps by their length, and of its maps by their shape, with their numbers."""

    coarse: dict[int, Any] = field(default_factory=lambda: defaultdict(float))
    full: dict[tuple[int, ...], Any] = field(default_factory=lambda: defaultdict(float))
    counts: Counter[Any] = field(default_factory=Counter)


def run_statistics(run: RunTable, shown: int = 6, most_classes: int = 12) -> RunStatistics:
    """Counts, distributions, the mean maps of the largest classes, and so many examples of each kind.

    InputError: there are no rows yet, or damaged files.
    """
    if not len(run):
        raise InputError(f"{run.folder} holds no rows yet; wait for the run, or call it again")
    arrow = import_extra("pyarrow", "run")
    columns = arrow.Table.from_batches(run.batches("score", "delta", "label", "index", "error"))
    score, delta = (columns[name].to_numpy().astype(np.float32) for name in ("score", "delta"))
    held = columns["error"].is_null().to_numpy()
    names = _class_names(columns)
    counts = Counter(name for name, good in zip(names, held, strict=True) if good)
    largest = [name for name, _ in counts.most_common(most_classes)]
    sums = _sums(run, names, frozenset(largest))
    distances, far = _distances(run, names, sums, shown)
    order = np.flatnonzero(held)[np.argsort(score[held], kind="stable")]
    gapped = np.flatnonzero(np.isfinite(delta))
    gaps = gapped[np.argsort(-np.abs(delta[gapped]), kind="stable")][:shown]
    chosen = {"outliers": [k for _, k in far], "best": order[::-1][:shown], "worst": order[:shown], "gaps": gaps}
    examples = _examples(run, {int(k) for picked in chosen.values() for k in picked}, {k: d for d, k in far})
    return RunStatistics(
        len(columns), int((~held).sum()), _errors(run), score[held], delta[gapped], distances,
        [_class_maps(name, sums[name], counts[name], score, names, held) for name in largest],
        **{kind: [examples[int(k)] for k in picked] for kind, picked in chosen.items()},
    )  # fmt: skip


def error_kind(error: str, sample: str, source: str | None) -> str:
    """An error without the names of its sample and without numbers, which are the same for all of its kind."""
    for name in filter(None, (source, sample)):
        error = error.replace(name, "…")
    return re.sub(r"\d+(?:\.\d+)?", "#", error)


def _class_names(columns: Any) -> NDArray[np.object_]:
    pairs = zip(columns["label"].to_pylist(), columns["index"].to_pylist(), strict=True)
    return np.array([label or (ALL if index is None else str(index)) for label, index in pairs], object)


def _errors(run: RunTable) -> list[ErrorKind]:
    first: dict[str, tuple[str, str]] = {}
    counts: Counter[str] = Counter()
    for batch in run.batches("id", "source", "error"):
        for row in batch.filter(batch["error"].is_valid()).to_pylist():
            kind = error_kind(row["error"], row["id"], row["source"])
            counts[kind] += 1
            first.setdefault(kind, (row["id"], row["error"]))
    return [ErrorKind(kind, count, *first[kind]) for kind, count in counts.most_common()]


def _sums(run: RunTable, names: NDArray[np.object_], largest: frozenset[str]) -> dict[str, _Sums]:
    found: dict[str, _Sums] = defaultdict(_Sums)
    for batch in map_batches(run):
        small = coarse(batch.maps)
        for name in dict.fromkeys(names[batch.rows]):
            of, one = names[batch.rows] == name, found[name]
            one.coarse[small.shape[1]] += small[of].sum(0, dtype=np.float64)
            one.counts[small.shape[1]] += int(of.sum())
            if name in largest:
                one.full[batch.maps.shape[1:]] += batch.maps[of].sum(0, dtype=np.float64)
                one.counts[batch.maps.shape[1:]] += int(of.sum())
    return found


def _distances(
    run: RunTable, names: NDArray[np.object_], sums: Mapping[str, _Sums], shown: int
) -> tuple[NDArray[np.float32], list[tuple[float, int]]]:
    """Of each map from the mean of the others of its class; the largest ones with their rows."""
    found: list[NDArray[np.float32]] = []
    far: list[tuple[float, int]] = []
    for batch in map_batches(run):
        small = coarse(batch.maps)
        length = small.shape[1]
        known = np.array([sums[name].counts[length] >= FEWEST for name in names[batch.rows]])
        rows, small = batch.rows[known], small[known]
        if not len(rows):
            continue
        others = np.stack([sums[name].coarse[length] for name in names[rows]]) - small
        lengths = np.linalg.norm(others, axis=1)
        distance = 1 - np.divide((others * small).sum(1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
        found.append(distance.astype(np.float32))
        far = heapq.nlargest(shown, [*far, *zip(distance.tolist(), rows.tolist(), strict=True)])
    return np.concatenate(found) if found else np.zeros(0, np.float32), far


def _examples(run: RunTable, wanted: set[int], distances: Mapping[int, float]) -> dict[int, Example]:
    order = sorted(wanted)
    held = run.table.take(order)
    maps = (one.values.to_numpy(zero_copy_only=False).astype(np.float32) for one in held["map"])
    told = zip(order, held.drop_columns(["map"]).to_pylist(), maps, strict=True)
    return {k: Example(row, one.reshape(row["shape"]), distances.get(k)) for k, row, one in told}


def _class_maps(
    name: str,
    sums: _Sums,
    count: int,
    score: NDArray[np.float32],
    names: NDArray[np.object_],
    held: NDArray[np.bool_],
) -> ClassMaps:
    usual = max(sums.full, key=lambda shape: sums.counts[shape], default=None)
    mean = None if usual is None else (sums.full[usual] / sums.counts[usual]).astype(np.float32)
    return ClassMaps(name, count, float(score[held & (names == name)].mean()), mean)
