"""The leaves of a tree ensemble as boxes: for each column that leads to a leaf, the interval of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..errors import ModelError
from ..graph.tree_ensembles import LEAF, Forest

__all__ = ["Boxes", "boxes_of"]

LIMIT = 2**24  # boxes times players, each of which the graph compares for every row

Interval = tuple[float, float, bool]  # (low, high], and whether NaN counts as a value in it
Intervals = tuple[Interval, ...]  # in rising order, which do not overlap; NaN is in the first or in none
Conditions = Mapping[int, Intervals]  # of columns

EVERYTHING: Intervals = ((-np.inf, np.inf, True),)
NOTHING = (np.inf, np.inf)  # an interval without a number


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of values that lead to a leaf; a row that lies in a box gets its ``weights`` (boxes, scores).

    Of each box the players, (boxes, most players of one), and the columns of each player with their intervals and
    whether NaN is in them, (boxes, players, most columns of one); what is left over is filled with intervals that hold
    everything.
    """

    players: np.ndarray
    columns: np.ndarray
    low: np.ndarray
    high: np.ndarray
    missing: np.ndarray
    weights: np.ndarray


def boxes_of(forest: Forest, players: Sequence[int], rest: int, dtype: np.dtype) -> Boxes:
    """The boxes of a forest whose columns belong to these players; ``rest`` is the player of what is left over.

    A leaf behind several intervals of one column is split into as many boxes. Numbers are compared as ``dtype``.
    """
    found, size = list[tuple[dict[int, list[tuple[int, Interval]]], int]](), 0
    for root in forest.roots:
        for leaf, conditions in _leaves(forest, root, dtype):
            if not forest.weights[leaf].any() or not conditions:
                continue
            for sides in product(*conditions.values()):
                box = dict[int, list[tuple[int, Interval]]]()
                for column, interval in zip(conditions, sides, strict=True):
                    box.setdefault(players[column], []).append((column, interval))
                found.append((box, leaf))
                size += len(box)
                if size > LIMIT:
                    raise ModelError(f"the trees have over {LIMIT} pairs of a leaf and a column, too many for a graph")
    return _filled(found, forest.weights, rest, dtype)


def _filled(
    found: Sequence[tuple[Mapping[int, Sequence[tuple[int, Interval]]], int]],
    weights: np.ndarray,
    rest: int,
    dtype: np.dtype,
) -> Boxes:
    most = max((len(box) for box, _ in found), default=0)
    deep = max((len(own) for box, _ in found for own in box.values()), default=0)
    shape = (len(found), most, deep)
    players, columns = np.full(shape[:2], rest), np.zeros(shape, np.int64)
    low, high, missing = np.full(shape, -np.inf, dtype), np.full(shape, np.inf, dtype), np.full(shape, True)
    for k, (box, _) in enumerate(found):
        for p, (player, own) in enumerate(box.items()):
            players[k, p] = player
            for c, (column, interval) in enumerate(own):
                columns[k, p, c] = column
                low[k, p, c], high[k, p, c], missing[k, p, c] = interval
    return Boxes(players, columns, low, high, missing, weights[[leaf for _, leaf in found]].astype(np.float32))


def _leaves(forest: Forest, root: int, dtype: np.dtype) -> Iterator[tuple[int, Conditions]]:
    """The leaves of a tree that some values lead to, with the intervals of each column that is read on the way."""
    waiting, seen = [(root, dict[int, Intervals]())], set[int]()
    while waiting:
        node, conditions = waiting.pop()
        if node in seen:
            raise ModelError(f"node {node} of a tree ensemble is reached twice, so that it is in no tree")
        seen.add(node)
        if forest.modes[node] == LEAF:
            yield node, conditions
            continue
        pair = forest.children[node]
        if pair[0] == pair[1]:  # how TreeEnsemble writes a tree of one leaf
            waiting.append((pair[0], conditions))
            continue
        column, inside = forest.columns[node], _condition(forest.modes[node], forest.numbers[node], dtype)
        before, missing = conditions.get(column, EVERYTHING), forest.missing[node]
        sides = _with_missing(inside, missing), _with_missing(_complement(inside), not missing)
        for child, side in zip(pair, sides, strict=True):
            if left := _common(before, side):
                waiting.append((child, {**conditions, column: left}))


def _condition(mode: str, numbers: Sequence[float], dtype: np.dtype) -> Intervals:
    """The numbers that a node sends to its first child."""
    points = np.unique(np.asarray(numbers, dtype))
    below = np.nextafter(points, dtype.type(-np.inf))
    each = tuple((float(a), float(b), False) for a, b in zip(below, points, strict=True))
    if mode in ("BRANCH_EQ", "BRANCH_MEMBER"):
        return each
    if mode == "BRANCH_NEQ":
        return _complement(each)
    (low, high, _) = each[0]
    sides = {
        "BRANCH_LEQ": (-np.inf, high, False),
        "BRANCH_LT": (-np.inf, low, False),
        "BRANCH_GT": (high, np.inf, False),
        "BRANCH_GTE": (low, np.inf, False),
    }
    if mode not in sides:
        raise ModelError(f"a tree ensemble compares by {mode!r}, which is no mode of its nodes")
    return (sides[mode],)


def _complement(intervals: Intervals) -> Intervals:
    """The numbers in none of the intervals."""
    ends = [-np.inf, *(end for low, high, _ in intervals for end in (low, high)), np.inf]
    return tuple((a, b, False) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b)


def _with_missing(intervals: Intervals, missing: bool) -> Intervals:
    """Intervals of numbers, and NaN beside them or not."""
    if not missing:
        return intervals
    (low, high, _), *rest = intervals or ((*NOTHING, False),)
    return ((low, high, True), *rest)


def _common(some: Intervals, others: Intervals) -> Intervals:
    """The values in an interval of both."""
    pairs = ((max(a, c), min(b, d)) for a, b, _ in some for c, d, _ in others)
    numbers = tuple((low, high, False) for low, high in pairs if low < high)
    return _with_missing(numbers, all(any(missing for *_, missing in both) for both in (some, others)))
