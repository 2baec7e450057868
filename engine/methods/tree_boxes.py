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
EVERYTHING = ((-np.inf, np.inf),)

Intervals = tuple[tuple[float, float], ...]  # (low, high] each, in rising order, which do not overlap
Conditions = Mapping[int, Intervals]  # of columns


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of values that lead to a leaf; a row that lies in a box gets its ``weights`` (boxes, scores).

    Of each box the players, (boxes, most players of one), and the columns of each player with their intervals,
    (boxes, players, most columns of one); what is left over is filled with intervals that hold everything.
    """

    players: np.ndarray
    columns: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weights: np.ndarray


def boxes_of(forest: Forest, players: Sequence[int], rest: int, dtype: np.dtype) -> Boxes:
    """The boxes of a forest whose columns belong to these players; ``rest`` is the player of what is left over.

    A leaf behind several intervals of one column is split into as many boxes. Numbers are compared as ``dtype``.
    """
    found, size = list[tuple[dict[int, list[tuple[int, float, float]]], int]](), 0
    for root in forest.roots:
        for leaf, conditions in _leaves(forest, root, dtype):
            if not forest.weights[leaf].any() or not conditions:
                continue
            for sides in product(*conditions.values()):
                box = dict[int, list[tuple[int, float, float]]]()
                for column, (low, high) in zip(conditions, sides, strict=True):
                    box.setdefault(players[column], []).append((column, low, high))
                found.append((box, leaf))
                size += len(box)
                if size > LIMIT:
                    raise ModelError(f"the trees have over {LIMIT} pairs of a leaf and a column, too many for a graph")
    return _filled(found, forest.weights, rest, dtype)


def _filled(
    found: Sequence[tuple[Mapping[int, Sequence[tuple[int, float, float]]], int]],
    weights: np.ndarray,
    rest: int,
    dtype: np.dtype,
) -> Boxes:
    most = max((len(box) for box, _ in found), default=0)
    deep = max((len(own) for box, _ in found for own in box.values()), default=0)
    shape = (len(found), most, deep)
    players, columns = np.full(shape[:2], rest), np.zeros(shape, np.int64)
    low, high = np.full(shape, -np.inf, dtype), np.full(shape, np.inf, dtype)
    for k, (box, _) in enumerate(found):
        for p, (player, own) in enumerate(box.items()):
            players[k, p] = player
            for c, (column, least, largest) in enumerate(own):
                columns[k, p, c], low[k, p, c], high[k, p, c] = column, least, largest
    return Boxes(players, columns, low, high, weights[[leaf for _, leaf in found]].astype(np.float32))


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
        before = conditions.get(column, EVERYTHING)
        for child, side in zip(pair, (inside, _complement(inside)), strict=True):
            if left := _common(before, side):
                waiting.append((child, {**conditions, column: left}))


def _condition(mode: str, numbers: Sequence[float], dtype: np.dtype) -> Intervals:
    """The values that a node sends to its first child."""
    points = np.unique(np.asarray(numbers, dtype))
    below = np.nextafter(points, dtype.type(-np.inf))
    each = tuple((float(a), float(b)) for a, b in zip(below, points, strict=True))
    if mode in ("BRANCH_EQ", "BRANCH_MEMBER"):
        return each
    if mode == "BRANCH_NEQ":
        return _complement(each)
    (low, high) = each[0]
    sides = {
        "BRANCH_LEQ": (-np.inf, high),
        "BRANCH_LT": (-np.inf, low),
        "BRANCH_GT": (high, np.inf),
        "BRANCH_GTE": (low, np.inf),
    }
    if mode not in sides:
        raise ModelError(f"a tree ensemble compares by {mode!r}, which is no mode of its nodes")
    return (sides[mode],)


def _complement(intervals: Intervals) -> Intervals:
    """The values in none of the intervals."""
    ends = [-np.inf, *(end for interval in intervals for end in interval), np.inf]
    return tuple((a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b)


def _common(some: Intervals, others: Intervals) -> Intervals:
    """The values in an interval of both."""
    pairs = ((max(a, c), min(b, d)) for a, b in some for c, d in others)
    return tuple((low, high) for low, high in pairs if low < high)
