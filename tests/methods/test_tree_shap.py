"""tree-shap is the definition of Shapley values, by all coalitions; the scores of these are onnxruntime's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from measures import distance
from onnxray.errors import InputError, ModelError, NoGradientPath, UnsupportedOperator
from tree_nets import HEAD, ML, attributes, forest, rows, tree_shap

TOLERANCE = 1e-6
X, BACKGROUND = rows(3, 5), rows(4, 5, seed=1)
SETTINGS: dict[str, dict[str, Any]] = {
    "classes": {},
    "softmax": {"post_transform": "SOFTMAX"},
    "logistic": {"post_transform": "LOGISTIC"},
    "two": {"scores": 2, "one_class": True},
    "two-logistic": {"scores": 2, "one_class": True, "post_transform": "LOGISTIC", "base_values": [0.3]},
    "two-positive": {"scores": 2, "one_class": True, "positive": True},
    "regressor": {"scores": 2, "kind": "target", "base_values": [0.5, -1.0]},
    "average": {"scores": 1, "kind": "target", "aggregate_function": "AVERAGE"},
    "deep": {"depth": 6, "trees": 1},
    **{mode: {"modes": [f"BRANCH_{mode}"]} for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")},
}


def scores_of(proto: onnx.ModelProto, name: str = "y") -> Callable[[np.ndarray], np.ndarray]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x: session.run([name], {"x": x})[0]


def game_of(proto: onnx.ModelProto, k: int) -> Callable[[np.ndarray], np.ndarray]:
    """One score before the post_transform."""
    plain = onnx.ModelProto()
    plain.CopyFrom(proto)
    for node in plain.graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name != "post_transform"]
        del node.attribute[:]
        node.attribute.extend(kept)
    scores = scores_of(plain)
    return lambda x: scores(x)[:, k]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ("two", "LT", "GTE", "GT", "EQ") else name
        for name in SETTINGS
    ],
)
def test_definition(name: str) -> None:
    proto, k = forest(**SETTINGS[name]), 0 if name == "average" else 1
    found = onnxray.explain(proto, X, "tree-shap", target=k, baseline=BACKGROUND)
    game = game_of(proto, k)
    assert distance(found.values, tree_shap(game, X, BACKGROUND)) < TOLERANCE
    assert distance(found.score, game(X)) < TOLERANCE
    assert found.delta is not None
    assert np.abs(found.delta).max() < 1e-5
    np.testing.assert_allclose(found.values.sum(1), game(X) - game(BACKGROUND).mean(), atol=1e-5)


def test_the_top_class_is_that_of_the_input() -> None:
    proto, found = forest(), onnxray.explain(forest(), X, "tree-shap", baseline=BACKGROUND)
    top = scores_of(proto)(X).argmax(1)
    assert found.target.tolist() == top.tolist()
    for k, row, values in zip(top, X, found.values, strict=True):
        assert distance(values, tree_shap(game_of(proto, k), row[None], BACKGROUND)[0]) < TOLERANCE


def test_a_contrast_and_weights() -> None:
    proto, scores = forest(), scores_of(forest())
    found = onnxray.explain(proto, X, "tree-shap", target=onnxray.scores.Contrast(2, 0), baseline=BACKGROUND)
    assert distance(found.values, tree_shap(lambda x: scores(x)[:, 2] - scores(x)[:, 0], X, BACKGROUND)) < TOLERANCE
    weights = np.array([0.5, -2.0, 1.0], np.float32)
    found = onnxray.explain(proto, X, "tree-shap", target=np.tile(weights, (3, 1)), baseline=BACKGROUND)
    assert distance(found.values, tree_shap(lambda x: scores(x) @ weights, X, BACKGROUND)) < TOLERANCE


def test_groups_share_a_value() -> None:
    proto, groups = forest(), np.array([0, 1, 0, 2, 1])
    found = onnxray.explain(proto, X, "tree-shap", target=1, baseline=BACKGROUND, groups=groups)
    assert distance(found.values, tree_shap(game_of(proto, 1), X, BACKGROUND, groups)) < TOLERANCE
    assert np.abs(found.delta).max() < 1e-5


FRONTS = {
    "scaler": (f"z = {ML}.Scaler <offset = [0.5, -1.0, 0.0, 0.5, 0.0], scale = [2.0, 1.0, 0.5, -1.0, 3.0]> (x)", 5),
    "imputer": (f"z = {ML}.Imputer <imputed_value_floats = [0.5], replaced_value_float = -1.0> (x)", 5),
    "chain": ("a = Identity(x) b = Reshape(a, wide) z = Squeeze(b, one)", 5),
    "double": ("z = Cast <to = 11> (x)", 5),
    "picked": (f"a = {ML}.ArrayFeatureExtractor (x, i) z = Concat <axis = 1> (a, x)", 8),
    "categories": (
        f"a = {ML}.ArrayFeatureExtractor (x, i) b = {ML}.OneHotEncoder <cats_int64s = [-1, 0, 1]> (a)"
        " c = Reshape(b, nine) z = Concat <axis = 1> (c, x)", 14),
}  # fmt: skip


def behind(front: str, columns: int, tail: str = "y = Identity(s)", **options: Any) -> onnx.ModelProto:
    """Trees behind other nodes, and before others."""
    proto = onnx.parser.parse_model(
        f"{HEAD} net (float[N, 5] x) => (float[N, M] y) <int64[3] i = {{2, 0, 2}}, int64[3] wide = {{-1, 1, 5}}, "
        f"int64[1] one = {{1}}, int64[2] nine = {{-1, 9}}> {{ {front} s = Identity(z) {tail} }}"
    )
    place = next(k for k, node in enumerate(proto.graph.node) if node.output[0] == "s")
    given = attributes(columns, 3, **options)
    made = onnx.helper.make_node("TreeEnsembleClassifier", ["z"], ["label", "s"], name="trees", domain=ML, **given)
    proto.graph.node[place].CopyFrom(made)
    return proto


@pytest.mark.parametrize("name", FRONTS)
def test_the_credit_is_of_the_columns_of_the_input(name: str) -> None:
    proto = behind(*FRONTS[name])
    found = onnxray.explain(proto, X, "tree-shap", target=1, baseline=BACKGROUND)
    assert distance(found.values, tree_shap(game_of(proto, 1), X, BACKGROUND)) < TOLERANCE


def test_a_weighted_sum_of_trees() -> None:
    proto = behind("z = Identity(x)", 5, "t = Mul(s, s2) u = Neg(s) y = Sub(t, u)")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, -3, 0.5], np.float32), "s2"))
    found = onnxray.explain(proto, X, "tree-shap", target=1, baseline=BACKGROUND)
    assert distance(found.values, tree_shap(game_of(proto, 1), X, BACKGROUND)) < TOLERANCE


NEWER = """<ir_version: 10, opset_import: ["" : 18, "ai.onnx.ml" : 5]>
net (float[N, 5] x) => (float[N, 2] y) { y = Identity(x) }"""


def test_tree_ensemble_of_version_5() -> None:
    """A node of LEQ, whose children test membership of {-1, 1} and of {0}; a tree of one leaf beside it."""
    proto = onnx.parser.parse_model(NEWER)
    held = [onnx.numpy_helper.from_array(np.array(values, kind), name) for name, values, kind in (
        ("nodes_splits", [0.0, 0.0, 0.0, 0.0], np.float32), ("nodes_modes", [0, 6, 6, 0], np.uint8),
        ("membership_values", [-1.0, 1.0, np.nan, 0.0, np.nan], np.float32),
        ("leaf_weights", [1.5, -2.0, 0.5, 3.0, 7.0], np.float32),
    )]  # fmt: skip
    node = onnx.helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain=ML, n_targets=2, tree_roots=[0, 3], aggregate_function=1, post_transform=0,
        nodes_featureids=[0, 2, 3, 0], nodes_truenodeids=[1, 0, 2, 4], nodes_trueleafs=[0, 1, 1, 1],
        nodes_falsenodeids=[2, 1, 3, 4], nodes_falseleafs=[0, 1, 1, 1], leaf_targetids=[0, 1, 1, 0, 1],
        **{tensor.name: tensor for tensor in held},
    )  # fmt: skip
    proto.graph.node[0].CopyFrom(node)
    x, scores = np.concatenate([X, rows(6, 5, seed=4)]), scores_of(proto)
    for k in (0, 1):
        found = onnxray.explain(proto, x, "tree-shap", target=k, baseline=BACKGROUND)
        assert distance(found.values, tree_shap(lambda x, k=k: scores(x)[:, k], x, BACKGROUND)) < TOLERANCE


def test_it_saves(tmp_path: Path) -> None:
    explainer = onnxray.Explainer(forest(post_transform="SOFTMAX"), "tree-shap", baseline=BACKGROUND)
    session = ort.InferenceSession(explainer.save(tmp_path / "trees.onnx"))
    names = [output.name for output in session.get_outputs()]
    plain = dict(zip(names, session.run(None, {"x": X, "target": np.array([0, -1, 2])}), strict=True))
    found = explainer(X, [0, int(scores_of(forest())(X[1:2]).argmax()), 2])
    assert distance(plain["attribution"], found.values) < TOLERANCE
    np.testing.assert_allclose(plain["delta"], found.delta, atol=1e-5)


def test_memory_changes_nothing() -> None:
    one, all_of_them = (
        onnxray.explain(forest(), X, "tree-shap", target=1, baseline=BACKGROUND, memory=memory)
        for memory in ("1KB", "1GB")
    )
    np.testing.assert_allclose(one.values, all_of_them.values, atol=1e-6)


REFUSED = {
    "no baseline": (forest, {"baseline": None}, InputError, "give baseline=, an array of rows"),
    "no trees": (
        lambda: onnx.parser.parse_model(f"{HEAD} net (float[N, 5] x) => (float[N, 5] y) {{ y = Exp(x) }}"),
        {}, UnsupportedOperator, "explains scores of tree ensembles alone",
    ),
    "beside": (lambda: behind("z = Identity(x)", 5, "t = ReduceSum(x, one) y = Add(s, t)"), {}, UnsupportedOperator,
               "the input leads to this one past any"),
    "mixed": (lambda: behind(f"z = {ML}.Normalizer(x)", 5), {}, UnsupportedOperator, "Normalizer"),
    "added": (lambda: behind("a = ReduceSum(x, one) z = Add(x, a)", 5), {}, UnsupportedOperator, "ReduceSum"),
    "curved": (lambda: behind("z = Identity(x)", 5, "y = Exp(s)"), {}, UnsupportedOperator, "no weighted sum of trees"),
    "clipped": (lambda: behind("z = Identity(x)", 5, "y = Relu(s)"), {}, UnsupportedOperator, "no weighted sum"),
    "voted": (lambda: behind("z = Identity(x)", 5, "y = Round(s)"), {}, NoGradientPath, "Round"),
    "probability": (lambda: forest(post_transform="SOFTMAX"), {"score": "output"}, UnsupportedOperator, "SOFTMAX"),
    "another shape": (forest, {"baseline": BACKGROUND[:, :3]}, InputError, r"shape \(4, 3\)"),
    "largest": (lambda: forest(kind="target", aggregate_function="MAX"), {}, ModelError, "takes the MAX"),
    "another mode": (lambda: forest(modes=["BRANCH_IN"]), {}, ModelError, "BRANCH_IN"),
    "superpixels": (forest, {"groups": "superpixels"}, InputError, "superpixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, options, error, text = REFUSED[name]
    with pytest.raises(error, match=text):
        onnxray.explain(make(), X, "tree-shap", target=1, **{"baseline": BACKGROUND, **options})
