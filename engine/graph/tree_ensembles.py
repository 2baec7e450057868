"""The tree ensembles of ai.onnx.ml: TreeEnsembleClassifier, TreeEnsembleRegressor, and TreeEnsemble of version 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import ModelError
from .builder import GraphBuilder

__all__ = [
    "LEAF",
    "Forest",
    "is_forest",
    "post_transform",
    "read_forest",
    "takes_missing",
    "type_forests",
    "without_post_transform",
]

LEAF, MEMBER = "LEAF", "BRANCH_MEMBER"
_FORESTS = frozenset({"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})
_CARRIES = frozenset({"ArrayFeatureExtractor", "Cast", "Concat", "FeatureVectorizer", "Gather", "Identity", "Reshape"})
_POST = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")  # as TreeEnsemble numbers them
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", MEMBER)


@dataclass(frozen=True, eq=False)
class Forest:
    """The nodes of all trees: the column that a node reads, how it compares with which numbers, and its children.

    ``weights`` (nodes, scores) is what a leaf adds to each score; ``roots`` has a node for each tree; ``missing`` says
    of which nodes NaN goes to the first child.
    """

    columns: Sequence[int]
    modes: Sequence[str]
    numbers: Sequence[tuple[float, ...]]
    children: Sequence[tuple[int, int]]
    weights: np.ndarray
    roots: Sequence[int]
    missing: Sequence[bool]


def is_forest(node: ir.Node) -> bool:
    """Whether a node is a tree ensemble."""
    return node.domain == "ai.onnx.ml" and node.op_type in _FORESTS


def takes_missing(value: ir.Value) -> bool:
    """Whether NaN is a missing value wherever a value goes: to trees, or to an Imputer, at most moved or cast."""
    nodes = [use.node for use in value.uses()]
    return bool(nodes) and all(
        is_forest(node)
        or (node.domain == "ai.onnx.ml" and node.op_type == "Imputer")
        or (node.op_type in _CARRIES and all(takes_missing(y) for y in node.outputs))
        for node in nodes
    )


def post_transform(node: ir.Node) -> str:
    """What a tree ensemble does to the sums over its trees, as the attribute of the older operators names it."""
    if node.op_type == "TreeEnsemble":
        return _POST[node.attributes.get_int("post_transform", 0)]
    return node.attributes.get_string("post_transform", "NONE")


def type_forests(graph: ir.Graph) -> bool:
    """Gives the scores of tree ensembles their type and shape, where inference has none; true where there are some."""
    forests = list(filter(is_forest, graph.all_nodes()))
    for node in forests:
        y, x = node.outputs[-1], node.inputs[0]
        if y.type is None:
            newer = node.op_type == "TreeEnsemble" and x is not None and x.type is not None
            y.type = x.type if newer and x is not None else ir.TensorType(ir.DataType.FLOAT)
        if y.shape is None and x is not None and x.shape is not None and len(x.shape) == 2:
            y.shape = ir.Shape([x.shape[0], _score_count(node)])
    return bool(forests)


def without_post_transform(g: GraphBuilder, node: ir.Node) -> ir.Value:
    """The sums over the trees: the scores of the same node without its post_transform."""
    attributes = {name: held for name, held in node.attributes.items() if name != "post_transform"}
    name = g.fresh(f"{g.prefix}/{node.name or node.op_type}")
    raw = ir.node(
        node.op_type, list(node.inputs), attributes, domain=node.domain, num_outputs=len(node.outputs), name=name
    )
    for k, (own, old) in enumerate(zip(raw.outputs, node.outputs, strict=True)):
        own.name, own.type, own.shape = g.fresh(f"{name}:{k}"), old.type, old.shape
    g.graph.append(raw)
    return raw.outputs[-1]


def read_forest(node: ir.Node) -> Forest:
    """The trees of a node; ModelError where its attributes make none, or where its scores are no sum over trees."""
    if node.op_type == "TreeEnsemble":
        aggregate = _AGGREGATES[node.attributes.get_int("aggregate_function", 1)]
    else:
        aggregate = node.attributes.get_string("aggregate_function", "SUM")
    if aggregate not in ("SUM", "AVERAGE"):
        raise ModelError(f"{node.op_type} (node {node.name!r}) takes the {aggregate} over its trees, which is no sum")
    try:
        found = _newer(node) if node.op_type == "TreeEnsemble" else _older(node)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(f"{node.op_type} (node {node.name!r}) has attributes that make no trees: {error}") from error
    if aggregate == "AVERAGE":
        found.weights[:] /= len(found.roots)
    return found


def _older(node: ir.Node) -> Forest:
    """Of TreeEnsembleClassifier and TreeEnsembleRegressor, whose nodes are numbered tree by tree."""
    places = list(zip(_ints(node, "nodes_treeids"), _ints(node, "nodes_nodeids"), strict=True))
    index: dict[tuple[int, int], int] = {place: k for k, place in enumerate(places)}
    modes = list(node.attributes.get_strings("nodes_modes", ()) or ())
    true, false = _ints(node, "nodes_truenodeids"), _ints(node, "nodes_falsenodeids")
    children = [
        (0, 0) if mode == LEAF else (index[tree, true[k]], index[tree, false[k]])
        for k, ((tree, _), mode) in enumerate(zip(places, modes, strict=True))
    ]
    below = {child for mode, pair in zip(modes, children, strict=True) if mode != LEAF for child in pair}
    numbers = [(float(number),) for number in _numbers(node, "nodes_values")]
    roots = [k for k in range(len(places)) if k not in below]
    weights, missing = _leaf_weights(node, index), _missing(node, modes)
    return Forest(_ints(node, "nodes_featureids"), modes, numbers, children, weights, roots, missing)


def _missing(node: ir.Node, modes: Sequence[str]) -> list[bool]:
    """Of which nodes NaN goes to the first child: those that say so, and those of "is not", which NaN is."""
    tracks = list(node.attributes.get_ints("nodes_missing_value_tracks_true", None) or [])
    tracks += [0] * (len(modes) - len(tracks))
    return [bool(track) or mode == "BRANCH_NEQ" for track, mode in zip(tracks, modes, strict=True)]


def _leaf_weights(node: ir.Node, index: Mapping[tuple[int, int], int]) -> np.ndarray:
    """Weights (nodes, scores); those of one class of two count for that class and against the other."""
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    ids = _ints(node, f"{kind}_ids")
    scores = _score_count(node)
    weights = np.zeros((len(index), scores))
    at = [index[place] for place in zip(_ints(node, f"{kind}_treeids"), _ints(node, f"{kind}_nodeids"), strict=True)]
    given = _numbers(node, f"{kind}_weights")
    if kind == "class" and scores == 2 and len(set(ids)) == 1:
        np.add.at(weights, (at,), np.outer(given, [-1, 1]))
    else:
        np.add.at(weights, (at, ids), given)
    return weights


def _score_count(node: ir.Node) -> int:
    """How many scores a row gets: one for each class, or the targets."""
    read = node.attributes
    labels = read.get_ints("classlabels_int64s", ()) or read.get_strings("classlabels_strings", ())
    return len(labels) if node.op_type == "TreeEnsembleClassifier" else read.get_int("n_targets", 1)


def _newer(node: ir.Node) -> Forest:
    """Of TreeEnsemble, whose leaves are numbered apart; here they follow the nodes."""
    splits, leaves = _tensor(node, "nodes_splits"), _tensor(node, "leaf_weights")
    count = len(splits)
    modes = [_MODES[k] for k in _tensor(node, "nodes_modes").tolist()] + [LEAF] * len(leaves)
    true, false = (
        [child + count * bool(leaf) for child, leaf in zip(_ints(node, ids), _ints(node, flags), strict=True)]
        for ids, flags in (("nodes_truenodeids", "nodes_trueleafs"), ("nodes_falsenodeids", "nodes_falseleafs"))
    )
    children = [*zip(true, false, strict=True), *[(0, 0)] * len(leaves)]
    sets = iter(_members(node))
    numbers = [next(sets) if mode == MEMBER else (float(splits[k]),) for k, mode in enumerate(modes[:count])]
    weights = np.zeros((len(children), _score_count(node)))
    weights[count + np.arange(len(leaves)), _ints(node, "leaf_targetids")] = leaves
    columns, numbers = [*_ints(node, "nodes_featureids"), *[0] * len(leaves)], [*numbers, *[()] * len(leaves)]
    missing = _missing(node, modes)
    return Forest(columns, modes, numbers, children, weights, _ints(node, "tree_roots"), missing)


def _members(node: ir.Node) -> list[tuple[float, ...]]:
    """The sets of numbers that nodes compare with; in the file each ends with NaN."""
    if "membership_values" not in node.attributes:
        return []
    held = _tensor(node, "membership_values")
    parts = np.split(held, np.flatnonzero(np.isnan(held)) + 1)
    return [tuple(part[~np.isnan(part)].tolist()) for part in parts if len(part)]


def _ints(node: ir.Node, name: str) -> list[int]:
    found = node.attributes.get_ints(name, None)
    if found is None:
        raise ValueError(f"its attribute {name!r} is missing")
    return list(found)


def _numbers(node: ir.Node, name: str) -> np.ndarray:
    """A list of floats, or the tensor of doubles that files may have in its place."""
    if f"{name}_as_tensor" in node.attributes:
        return _tensor(node, f"{name}_as_tensor")
    return np.asarray(node.attributes.get_floats(name, ()), np.float32)


def _tensor(node: ir.Node, name: str) -> np.ndarray:
    held: Any = node.attributes[name]
    return held.as_tensor().numpy()
