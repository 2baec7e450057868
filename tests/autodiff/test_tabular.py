"""ai.onnx.ml on onnxruntime: gradients of what is a function of numbers, and trees beside it that are black boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from differences import run_on_runtime
from gradcheck import away, normal
from onnxray.autodiff.registry import RULES
from onnxray.diagnostics.inspection import inspect
from onnxray.errors import NoGradientPath, UnsupportedOperator
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load
from onnxray.passes.decompositions import DECOMPOSITIONS

HEAD = '<ir_version: 10, opset_import: ["" : 18, "ai.onnx.ml" : 3]>'
ML = "ai.onnx.ml"
LINEAR = "coefficients = [0.5, -1.0, 2.0, 1.5, 0.3, -0.7, 0.2, 0.9, -0.4], intercepts = [0.1, 0.2, 0.3]"
ONE_ROW = "coefficients = [0.5, -1.0, 2.0], intercepts = [0.1], classlabels_ints = [0, 1]"

VECTORS = "0.5, -1.0, 0.2, 1.5, 0.3, -0.7, 0.2, 0.9, -0.4, -0.3, 1.1, 0.8, 0.6, 0.1, -1.2"
MACHINE = f"support_vectors = [{VECTORS}], kernel_params = [0.5, 0.2, 3.0]"
DUEL = "coefficients = [0.5, 1.0, -0.7, -0.2, -0.6], vectors_per_class = [2, 3], rho = [0.4], classlabels_ints = [0, 1]"
DUELS = (
    "coefficients = [0.5, 1.0, -0.7, -0.2, -0.6, 0.8, 0.3, -0.9, 1.2, 0.1], vectors_per_class = [2, 1, 2],"
    " rho = [0.4, -0.1, 0.2], classlabels_ints = [0, 1, 2]"
)
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
    **{
        f"LinearRegressor-{post}": f'y = {ML}.LinearRegressor <targets = 3, {LINEAR}, post_transform = "{post}"> (x)'
        for post in ("SOFTMAX", "LOGISTIC")
    },
    **{
        f"SVMRegressor-{kind}": f"y = {ML}.SVMRegressor <n_supports = 5, coefficients = [0.5, 1.0, -0.7, -0.2, -0.6],"
        f' rho = [0.3], kernel_type = "{kind}", {MACHINE}> (x)'
        for kind in ("LINEAR", "POLY", "RBF", "SIGMOID")
    },
    "SVMRegressor-weights": f"y = {ML}.SVMRegressor"
    f" <coefficients = [0.5, 1.0, -0.7], rho = [0.3], kernel_params = [0.5, 0.0, 3.0]> (x)",
    "SVMClassifier-two": f'l, y = {ML}.SVMClassifier <{DUEL}, kernel_type = "RBF", {MACHINE}> (x)',
    "SVMClassifier-probability": f"l, y = {ML}.SVMClassifier"
    f' <{DUEL}, kernel_type = "RBF", {MACHINE}, prob_a = [-1.3], prob_b = [0.2]> (x)',
    "SVMClassifier-three": f'l, y = {ML}.SVMClassifier <{DUELS}, kernel_type = "POLY", {MACHINE}> (x)',
    "SVMClassifier-weights": f"l, y = {ML}.SVMClassifier <coefficients = [0.5, -1.0, 2.0, 1.5, 0.3, -0.7], rho = [0.1],"
    " kernel_params = [0.5, 0.0, 3.0], classlabels_ints = [0, 1]> (x)",
    "Normalizer-MAX": f"y = {ML}.Normalizer (x)",
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


@pytest.mark.parametrize("name", CASES)
def test_before_another_operator(name: str) -> None:
    """The standard's inference types few of them, and skl2onnx does not say what stands between."""
    body = CASES[name].replace("y =", "m =")
    model, x = net(f'{body} n = Mul (m, m) y = {ML}.Normalizer <norm = "L2"> (n)'), away(4, 3)
    alone = net(CASES[name])
    m = run_on_runtime(alone, {"x": x})["y"].astype(np.float64)
    n, seed = m * m, normal(*m.shape, seed=5)
    size = np.linalg.norm(n, axis=1, keepdims=True)
    unit = n / size
    dm = 2 * m * (seed - unit * np.sum(unit * seed, axis=1, keepdims=True)) / size
    inner, outer = differentiate(alone, "y", "x"), differentiate(model, "y", "x")
    want = run_on_runtime(inner.model, {"x": x, inner.seeds["y"]: dm.astype(np.float32)})[inner.gradients["x"]]
    found = run_on_runtime(outer.model, {"x": x, outer.seeds["y"]: seed})[outer.gradients["x"]]
    rough = 1e-2 if "probability" in name else 2e-3  # onnxruntime finds these step by step
    np.testing.assert_allclose(found, want, rtol=rough, atol=2e-5 * np.abs(want).max() + 1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("SVM")])
def test_what_is_spelled_out_gives_the_same_scores(name: str) -> None:
    """onnxruntime finds probabilities step by step, and stops at what changes them by less than 0.005."""
    model, x = net(CASES[name]), normal(6, 3)
    before = run_on_runtime(model, {"x": x})["y"]
    after = run_on_runtime(differentiate(model, "y", "x").model, {"x": x, "seed_y": np.ones(before.shape)})["y"]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=5e-3 if "probability" in name else 1e-5)


REFUSED = {
    "sides": (f"y = {ML}.SVMRegressor <one_class = 1, coefficients = [0.5, 1.0, -0.7], rho = [0.3]> (x)", "one-class"),
    "several": (
        f"l, y = {ML}.SVMClassifier <{DUELS}, {MACHINE}, prob_a = [1.0, 1.0, 1.0], prob_b = [0.0, 0.0, 0.0]> (x)",
        "more than two classes",
    ),
    "probit": (f'y = {ML}.LinearRegressor <targets = 3, {LINEAR}, post_transform = "PROBIT"> (x)', "PROBIT"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_says_why(name: str) -> None:
    body, reason = REFUSED[name]
    with pytest.raises(UnsupportedOperator, match=reason):
        differentiate(net(body), "y", "x")


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


TREE = (
    f"{ML}.TreeEnsembleClassifier <nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [1, 0, 0],"
    ' nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = [0.5, 0.0, 0.0], nodes_truenodeids = [1, 0, 0],'
    " nodes_falsenodeids = [2, 0, 0], class_treeids = [0, 0, 0, 0], class_nodeids = [1, 1, 2, 2],"
    " class_ids = [0, 1, 0, 1], class_weights = [0.9, 0.1, 0.2, 0.8],"
    ' classlabels_strings = ["no", "yes"]> (x)'
)


def zipped(body: str, names: str) -> onnx.ModelProto:
    """A classifier as skl2onnx writes it: names of classes, and a dictionary for every row."""
    model = onnx.parser.parse_model(f"{HEAD} net (float[N, 3] x) => (string[N] label) {{ {body}"
                                    f" d = {ML}.ZipMap <classlabels_strings = {names}> (s) }}")  # fmt: skip
    kind = model.graph.output.add(name="d").type.sequence_type.elem_type.map_type
    kind.key_type, kind.value_type.tensor_type.elem_type = onnx.TensorProto.STRING, onnx.TensorProto.FLOAT
    kind.value_type.tensor_type.shape.SetInParent()
    return model


def test_a_dictionary_of_scores_is_read_as_the_scores() -> None:
    post = 'post_transform = "SOFTMAX"'
    body = f'label, s = {ML}.LinearClassifier <{LINEAR}, classlabels_strings = ["a", "b", "c"], {post}> (x)'
    model, x = zipped(body, '["a", "b", "c"]'), normal(4, 3).astype(np.float32)
    rows: Any = ort.InferenceSession(model.SerializeToString()).run(["d"], {"x": x})[0]
    graph = differentiate(model)
    results = run_on_runtime(graph.model, {"x": x, graph.seeds["d"]: np.eye(3)[[0, 1, 2, 0]]})
    np.testing.assert_allclose(results["d"], [list(row.values()) for row in rows], rtol=1e-5)
    bare = differentiate(net(body.replace("label, s", "label, y")), "y", "x")
    expected = run_on_runtime(bare.model, {"x": x, "seed_y": np.eye(3)[[0, 1, 2, 0]]})["grad_x"]
    np.testing.assert_allclose(results["grad_x"], expected, rtol=1e-6)


def test_a_tree_with_a_dictionary_is_explained_by_occlusion() -> None:
    model, x = zipped(f"label, s = {TREE}", '["no", "yes"]'), np.array([[0.3, 0.9, 0.1]], np.float32)
    found = onnxray.explain(model, x, "occlusion", window=1)
    assert int(found.target[0]) == 1
    np.testing.assert_allclose(found.values, [[0, 0.7, 0]], atol=1e-6)
    with pytest.raises(NoGradientPath, match=r"TreeEnsembleClassifier.*occlusion"):
        onnxray.explain(model, x, "saliency")
    report = inspect(load(model)).gradient
    assert (report.differentiable, [stop.op for stop in report.stops]) == (False, [f"{ML}::TreeEnsembleClassifier"])


def test_every_rule_is_tried() -> None:
    assert {name.partition("-")[0] for name in CASES} == {
        op for domain, op in (*RULES, *DECOMPOSITIONS) if domain == ML
    }
