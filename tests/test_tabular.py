"""ai.onnx.ml on onnxruntime: gradients of what is a function of numbers, and trees beside it that are black boxes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import away, normal
from onnxray.errors import NoGradientPath
from onnxray.gradient import differentiate
from onnxray.rules import RULES

HEAD = '<ir_version: 10, opset_import: ["" : 18, "ai.onnx.ml" : 3]>'
ML = "ai.onnx.ml"
LINEAR = "coefficients = [0.5, -1.0, 2.0, 1.5, 0.3, -0.7, 0.2, 0.9, -0.4], intercepts = [0.1, 0.2, 0.3]"
ONE_ROW = "coefficients = [0.5, -1.0, 2.0], intercepts = [0.1], classlabels_ints = [0, 1]"

THREE = f"{LINEAR}, classlabels_ints = [0, 1, 2]"
CASES = {
    "Scaler": f"y = {ML}.Scaler <offset = [1.0, 0.5, 0.0], scale = [2.0, 3.0, 4.0]> (x)",
    "Scaler-one": f"y = {ML}.Scaler <offset = [1.0], scale = [2.0]> (x)",
    "LinearRegressor": f"y = {ML}.LinearRegressor <targets = 3, {LINEAR}> (x)",
    **{
        f"LinearClassifier-{post}": f'l, y = {ML}.LinearClassifier <{THREE}, post_transform = "{post}"> (x)'
        for post in ("NONE", "SOFTMAX", "LOGISTIC")
    },
    **{
        f"LinearClassifier-two-{post}": f'l, y = {ML}.LinearClassifier <{ONE_ROW}, post_transform = "{post}"> (x)'
        for post in ("NONE", "LOGISTIC")
    },
    "Normalizer-L1": f'y = {ML}.Normalizer <norm = "L1"> (x)',
    "Normalizer-L2": f'y = {ML}.Normalizer <norm = "L2"> (x)',
    "ArrayFeatureExtractor": f"y = {ML}.ArrayFeatureExtractor (x, i)",
    "Imputer": f"y = {ML}.Imputer <imputed_value_floats = [7.0], replaced_value_float = -9.0> (x)",
    "FeatureVectorizer": f"y = {ML}.FeatureVectorizer <inputdimensions = [3, 3]> (x, x)",
}  # fmt: skip


def net(body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f"{HEAD} net (float[N, 3] x) => (float[N, M] y) <int64[3] i = {{2, 0, 2}}> {{ {body} }}"
    )


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    model, x, step = net(CASES[name]), away(4, 3), 1e-2
    weights, direction = normal(*run_on_runtime(model, {"x": x})["y"].shape, seed=5), normal(4, 3, seed=9)
    graph = differentiate(model, "y", "x")
    found = run_on_runtime(graph.model, {"x": x, graph.seeds["y"]: weights})[graph.gradients["x"]]
    ends = [np.sum(weights * run_on_runtime(model, {"x": x + s * step * direction})["y"]) for s in (1, -1, 0.5, -0.5)]
    numeric = (4 * (ends[2] - ends[3]) / step - (ends[0] - ends[1]) / (2 * step)) / 3
    assert np.sum(found * direction) == pytest.approx(numeric, rel=2e-3, abs=2e-3)


def test_a_tree_is_a_black_box_that_leaves_the_rest_alone() -> None:
    tree = (
        f"t = {ML}.TreeEnsembleRegressor <nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2],"
        " nodes_featureids = [0, 0, 0],"
        ' nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = [0.0, 0.0, 0.0], nodes_truenodeids = [1, 0, 0],'
        " nodes_falsenodeids = [2, 0, 0], target_treeids = [0, 0], target_nodeids = [1, 2], target_ids = [0, 0],"
        " target_weights = [1.0, 2.0], n_targets = 1> (x)"
    )
    with pytest.raises(NoGradientPath, match="TreeEnsembleRegressor"):
        differentiate(net(f"{tree} y = Neg (t)"), "y", "x")
    graph = differentiate(net(f"{tree} y = Add (t, x)"), "y", "x")
    found = run_on_runtime(graph.model, {"x": normal(2, 3), "seed_y": np.ones((2, 3))})["grad_x"]
    np.testing.assert_array_equal(found, np.ones((2, 3)))


def test_every_rule_is_tried() -> None:
    assert {name.partition("-")[0] for name in CASES} == {op for domain, op in RULES if domain == ML}
