"""The nodes that share out what a tree ensemble gives, between the columns of a row and those of a background row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import product
from math import comb

import numpy as np
import onnx_ir as ir

from ..autodiff.streams import Stream
from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.tree_ensembles import read_forest
from .tree_boxes import Boxes, boxes_of
from .tree_columns import FIXED, columns_of

__all__ = ["credit_of"]


def credit_of(
    g: GraphBuilder,
    node: ir.Node,
    slope: ir.Value,
    own: Stream,
    players: Mapping[ir.Value, np.ndarray],
    count: int,
) -> ir.Value:
    """The Shapley values of one row against one background row, (rows, players).

    A box of values that has m of the players of the input and n others of the background pays its weight when all m
    and none of the n have joined, which gives each of the m (m-1)! n! / (m+n)! and takes m! (n-1)! / (m+n)! from each
    of the n; there is nothing to share where a player fits with neither (Lundberg et al., 2020, algorithm 3).
    """
    given = node.inputs[0]
    if given is None or given.shape is None or len(given.shape) != 2:
        raise UnsupportedOperator(f"tree-shap: the trees of {node.name!r} take no rows of columns, but {given}")
    g.prefix = f"trees/{node.name or node.op_type}"
    which = columns_of(given, players).ravel()
    kept = given.dtype if given.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
    boxes = boxes_of(read_forest(node), np.where(which == FIXED, count, which).tolist(), count, kept.numpy())
    x, b = (value if value.dtype == kept else g.Cast(value, to=kept) for value in (own(given), given))
    fits = _fits(g, x, b, boxes)
    shared = g.NonZero(g.Greater(g.ReduceMin(fits, [0], keepdims=0), np.uint8(0)))  # the few boxes with all players
    box, row = (g.Gather(shared, g.constant(k, ir.DataType.INT64), axis=0) for k in (0, 1))
    own_only, other_only = (_counts(g, fits, box, row, k) for k in (1, 2))
    most = boxes.players.shape[1]
    m, n = (g.ReduceSum(part, [0], keepdims=0) for part in (own_only, other_only))
    place = g.Cast(g.Add(g.Mul(m, float(most + 1)), n), to=ir.DataType.INT64)
    slopes = g.Gather(g.as_float32(slope), row, axis=0)
    paid = g.ReduceSum(g.Mul(slopes, g.Gather(g.constant(boxes.weights), box, axis=0)), [1], keepdims=0)
    gains, losses = (g.Mul(paid, g.Gather(g.constant(table), place, axis=0)) for table in _shares(most))
    credit = g.Sub(g.Mul(own_only, gains), g.Mul(other_only, losses))
    return _by_player(g, credit, g.Gather(g.constant(boxes.players.T), box, axis=1), row, given, count)


def _fits(g: GraphBuilder, x: ir.Value, b: ir.Value, boxes: Boxes) -> ir.Value:
    """Whether players have values in the box, (players, boxes, rows): 1 of the input, 2 of the background, 3 of both.

    Intervals that several boxes have are looked at once. The rows come last, so that Gather copies all of them.
    """
    kind = boxes.low.dtype
    sides = [boxes.columns.astype(kind), boxes.low, boxes.high, boxes.missing.astype(kind)]
    each, index = np.unique(np.stack(sides, -1).reshape(-1, 4), axis=0, return_inverse=True)
    columns, (low, high) = each[:, 0].astype(np.int64), (g.constant(each[:, k : k + 1]) for k in (1, 2))
    picked = [g.Gather(g.Transpose(value, perm=[1, 0]), g.constant(columns), axis=0) for value in (x, b)]
    missing = g.constant(each[:, 3:] > 0)
    own, other = (
        g.Or(g.And(g.Greater(one, low), g.LessOrEqual(one, high)), g.And(g.IsNaN(one), missing)) for one in picked
    )
    three, two, one, none = (g.constant(k, ir.DataType.UINT8) for k in (3, 2, 1, 0))
    fits = g.Where(own, g.Where(other, three, one), g.Where(other, two, none))
    parts = np.moveaxis(index.reshape(boxes.low.shape), -1, 0).transpose(0, 2, 1)
    return reduce(g.BitwiseAnd, [g.Gather(fits, g.constant(part), axis=0) for part in parts])


def _counts(g: GraphBuilder, fits: ir.Value, box: ir.Value, row: ir.Value, kind: int) -> ir.Value:
    """Which players of some boxes are of a kind: 0 or 1, (players, boxes)."""
    flat = g.Reshape(fits, [0, -1])
    place = g.Add(g.Mul(box, g.Shape(fits, start=2, end=3)), row)
    return g.Cast(g.Equal(g.Gather(flat, place, axis=1), np.uint8(kind)), to=ir.DataType.FLOAT)


def _shares(most: int) -> tuple[np.ndarray, np.ndarray]:
    """What each of m players gains and each of n loses, at m (most + 1) + n; 0 where there is no such player."""
    gains, losses = np.zeros((2, most + 1, most + 1))
    for m, n in product(range(most + 1), repeat=2):
        gains[m, n] = 1 / (m * comb(m + n, m)) if m else 0
        losses[m, n] = 1 / (n * comb(m + n, n)) if n else 0
    return gains.ravel().astype(np.float32), losses.ravel().astype(np.float32)


def _by_player(
    g: GraphBuilder, credit: ir.Value, players: ir.Value, row: ir.Value, given: ir.Value, count: int
) -> ir.Value:
    """The sums over all boxes of what each pays its players, (rows, players); the last player is nobody."""
    rows = g.Shape(given, start=0, end=1)
    zeros = g.Expand(g.constant(0, ir.DataType.FLOAT), g.Mul(rows, count + 1))
    place = g.Add(g.Mul(row, count + 1), players)
    sums = g.ScatterElements(zeros, g.Reshape(place, [-1]), g.Reshape(credit, [-1]), axis=0, reduction="add")
    return g.Reshape(sums, [-1, count + 1])
