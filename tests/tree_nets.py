"""Random tree ensembles as files, and Shapley values by their definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import comb
from typing import Any

import numpy as np
import onnx

ML = "ai.onnx.ml"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
HEAD = '<ir_version: 10, opset_import: ["" : 18, "ai.onnx.ml" : 3]>'
BLOCKS = 4  # values of the rows: halves from -1 to 1, on which thresholds lie too, so that every mode counts


def rows(count: int, columns: int, seed: int = 0) -> np.ndarray:
    """Rows whose values are often equal to thresholds."""
    return (np.random.default_rng(seed).integers(-BLOCKS // 2, BLOCKS // 2 + 1, (count, columns)) / 2).astype(
        np.float32
    )


def attributes(
    columns: int, scores: int, kind: str = "class", trees: int = 3, depth: int = 3, modes: Sequence[str] = MODES,
    seed: int = 0, one_class: bool = False, positive: bool = False, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """The attributes of full trees of a depth; each node compares a random column by a random mode."""
    rng, found = np.random.default_rng(seed), dict[str, list[Any]]()

    def add(**values: Any) -> None:
        for name, value in values.items():
            found.setdefault(name, []).append(value)

    inner = 2**depth - 1
    for tree in range(trees):
        for node in range(2 * inner + 1):
            leaf = node >= inner
            add(
                nodes_treeids=tree, nodes_nodeids=node, nodes_featureids=0 if leaf else int(rng.integers(columns)),
                nodes_modes="LEAF" if leaf else str(rng.choice(modes)),
                nodes_values=0.0 if leaf else float(rng.integers(-1, 2) / 2),
                nodes_truenodeids=0 if leaf else 2 * node + 1, nodes_falsenodeids=0 if leaf else 2 * node + 2,
            )  # fmt: skip
            for score in range(1 if one_class else scores) if leaf else ():
                weight = float(rng.random() if positive else rng.normal())
                add(
                    **{
                        f"{kind}_treeids": tree,
                        f"{kind}_nodeids": node,
                        f"{kind}_ids": score,
                        f"{kind}_weights": weight,
                    }
                )
    said = {"classlabels_int64s": list(range(scores))} if kind == "class" else {"n_targets": scores}
    return {**found, **said, **more}


def forest(columns: int = 5, scores: int = 3, kind: str = "class", **options: Any) -> onnx.ModelProto:
    """A model of one TreeEnsembleClassifier or TreeEnsembleRegressor."""
    operator = "TreeEnsembleClassifier" if kind == "class" else "TreeEnsembleRegressor"
    proto = onnx.parser.parse_model(
        f"{HEAD} net (float[N, {columns}] x) => (float[N, {scores}] y) {{ y = Identity(x) }}"
    )
    outputs = ["label", "y"] if kind == "class" else ["y"]
    given = attributes(columns, scores, kind, **options)
    proto.graph.node[0].CopyFrom(onnx.helper.make_node(operator, ["x"], outputs, name="trees", domain=ML, **given))
    return proto


def shapley(game: Callable[[np.ndarray], np.ndarray], x: np.ndarray, b: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The Shapley value of each group for one row against one other, by all coalitions."""
    count = int(groups.max()) + 1
    coalitions = np.array(list(product([0, 1], repeat=count)), bool)
    scores = game(np.where(coalitions[:, groups], x, b).astype(np.float32)).astype(np.float64)
    values, sizes = np.zeros(count), coalitions.sum(1)
    for k in range(count):
        bit = 1 << (count - 1 - k)
        without = np.flatnonzero(~coalitions[:, k])
        weights = np.array([1 / (count * comb(count - 1, size)) for size in sizes[without]])
        values[k] = weights @ (scores[without + bit] - scores[without])
    return values


def tree_shap(
    game: Callable[[np.ndarray], np.ndarray], x: np.ndarray, background: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """The mean over background rows, one value for each column; those of a group have the same."""
    groups = np.arange(x.shape[1]) if groups is None else groups
    return np.array([np.mean([shapley(game, row, b, groups) for b in background], 0) for row in x])[:, groups]
