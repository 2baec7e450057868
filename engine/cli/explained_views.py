"""What is drawn and listed of an example of a file: its views, with the names and values that the file has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..attribution.result import Attribution
from ..data.files import Given
from ..drawing.bar_chart import Feature, rank_features
from ..drawing.series import TimeAxis
from ..drawing.views import View

__all__ = ["listed", "named_views"]

STRETCHES = 32  # of time, in which a series is listed


def named_views(one: Attribution, given: Given, row: int, reduce: str | None) -> dict[str, View]:
    """The views of one example by input, with the features of vectors and tokens as the file names them.

    Of several inputs, embeddings have the name of the input that is embedded.
    """
    views = one.views(reduce=reduce, rate=given.rate, named=bool(given.features))
    sources = [_source(one, name) for name in views]
    called = sources if len({*sources}) == len(views) > 1 else list(views)  # of embeddings the input that users know
    return {
        title: _named(view, name, one, given, row) for title, (name, view) in zip(called, views.items(), strict=True)
    }


def listed(views: Mapping[str, View]) -> tuple[Feature, ...]:
    """The features, the largest first, of several inputs with their names; of a series its stretches of time; of
    pictures none."""
    if len(views) == 1:
        return _features(next(iter(views.values())))
    found = [replace(one, name=f"{name}, {one.name}") for name, view in views.items() for one in _features(view)]
    return tuple(sorted(found, key=lambda one: -abs(one.attribution)))


def _features(view: View) -> tuple[Feature, ...]:
    if view.features or view.kind != "series" or view.axis is None:
        return tuple(view.features)
    return _stretches(view.heat, view.axis)


def _named(view: View, name: str, one: Attribution, given: Given, row: int) -> View:
    if view.kind not in ("tokens", "vector") and view.unit != "tokens":
        return view
    numbers = view.heat.ravel()
    held = _held(one, name, given, row, numbers.size)
    if view.kind == "series":
        return _long_text(view, numbers, held, _source(one, name))
    names = given.features if len(given.features) == numbers.size and view.unit != "places" else ()
    if not names and view.unit != "features":
        names = [f"{view.unit.removesuffix('s')} {k}" for k in range(numbers.size)]
    return replace(view, features=rank_features(numbers, held if view.unit != "places" else None, names))


def _long_text(view: View, numbers: np.ndarray, held: np.ndarray | None, source: str) -> View:
    """Tokens that are too many for bars, as a curve of their ids; bytes are named by their characters."""
    if held is None:
        return view
    bytes_, ids = re.search("byte", source, re.IGNORECASE) is not None, held.ravel().astype(int).tolist()
    names = [
        f"byte {k} {chr(i)!r}" if bytes_ and i < 256 else f"{'byte' if bytes_ else 'token'} {k}"
        for k, i in enumerate(ids)
    ]
    axis = replace(view.axis, unit="bytes") if bytes_ and view.axis is not None else view.axis
    return replace(view, data=held.reshape(1, -1), axis=axis, features=rank_features(numbers, held.ravel(), names))


def _held(one: Attribution, name: str, given: Given, row: int, size: int) -> np.ndarray | None:
    """The values of the elements of an example; of tokens their numbers. None where they are not of this size."""
    source = _source(one, name)
    held = given.inputs.get(source) if isinstance(given.inputs, Mapping) else given.inputs
    if not isinstance(held, np.ndarray) or held.ndim < 2 or len(held) <= row:
        return None
    return held[row] if held[row].size == size else None


def _source(one: Attribution, name: str) -> str:
    """The input that the file has of an attribution: of embeddings that of the tokens."""
    sources: Mapping[str, str] = one.provenance.get("tokens", {})
    return sources.get(name, name) if name or len(sources) != 1 else next(iter(sources.values()))


def _stretches(heat: np.ndarray, axis: TimeAxis) -> tuple[Feature, ...]:
    """The sums of a series' attributions over stretches of time, a channel each, the largest first."""
    rows = np.atleast_2d(heat)
    count = min(STRETCHES, rows.shape[1])
    edges = np.arange(count + 1) * rows.shape[1] // count
    sums = np.add.reduceat(rows, edges[:-1], axis=1)
    step = axis.samples / rows.shape[1]  # samples for each place of a layer
    times = [axis.text(a * step, b * step) for a, b in pairwise(edges)]
    return rank_features(sums, None, _by_channel(times, len(rows)))


def _by_channel(times: Sequence[str], channels: int) -> list[Any]:
    return [f"channel {c}, {time}" if channels > 1 else time for c in range(channels) for time in times]
