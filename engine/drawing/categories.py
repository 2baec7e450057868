"""One-hot columns of a table, which are one column of categories, found by their names and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import commonprefix

import numpy as np
from numpy.typing import NDArray

from .bar_chart import Feature

__all__ = ["merge_categories", "one_hot_columns"]

MARKS = ("=", "_")  # between the name of a column and that of a category, as pandas and scikit-learn write it


def one_hot_columns(names: Sequence[str], rows: NDArray | None) -> dict[str, list[int]]:
    """The columns that stand for the categories of one, by its name.

    They lie side by side, share what their names begin with up to a mark, and hold one 1 and zeros in every row, which
    is not the same one in all rows. From a single row nothing can be told.
    """
    found = dict[str, list[int]]()
    if rows is None or len(rows) < 2:
        return found
    flags, start = ((rows == 0) | (rows == 1)).all(0), 0
    while start < len(names):
        end = _end(names, rows, flags, start)
        if end and (name := _shared(names[start:end])) not in found:
            found[name] = list(range(start, end))
        start = end or start + 1
    return found


def merge_categories(features: Sequence[Feature], categories: Mapping[str, Sequence[int]]) -> list[Feature]:
    """Features with one for all columns of a group: the sum of theirs, named after the category that the row has."""
    found = {feature.place: feature for feature in features}
    for name, places in categories.items():
        parts = [found.pop(place) for place in places]
        hot = next((part.name for part in parts if part.value == 1), "")
        total = sum(part.attribution for part in parts)
        label = f"{name} = {hot.removeprefix(name).lstrip(''.join(MARKS))}"
        found[places[0]] = Feature(label, None, total, places[0])
    return sorted(found.values(), key=lambda one: -abs(one.attribution))


def _end(names: Sequence[str], rows: NDArray, flags: NDArray, start: int) -> int | None:
    """Where the columns of categories from ``start`` on end; None where there are none."""
    end, begins, ones, used = None, names[start], np.zeros(len(rows)), 0
    for place in range(start, len(names)):
        begins = commonprefix([begins, names[place]])  # noqa: RUF071  no paths
        if not flags[place] or not _shared([begins]):
            break
        ones += rows[:, place]
        used += bool(rows[:, place].any())
        if (ones > 1).any():
            break
        if (ones == 1).all() and used > 1:
            end = place + 1  # columns of zeros behind it are categories that no row has
    return end


def _shared(names: Sequence[str]) -> str:
    """What names begin with, up to a mark."""
    prefix = commonprefix(list(names))  # noqa: RUF071  no paths
    return prefix[: max(prefix.rfind(mark) for mark in MARKS) + 1].rstrip("".join(MARKS))
