"""scikit-learn: perceptrons and linear models in standard operators, trees with a warning."""

from __future__ import annotations

import pickle
from functools import cache

import numpy as np
import onnxray
import pytest
from late import Late, late
from onnxray.converters import to_onnx
from onnxray.errors import ConversionError
from tree_nets import tree_shap

late("sklearn")  # both are imported when a test first uses them
late("skl2onnx")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

ensemble, linear, neural = (Late(f"sklearn.{name}") for name in ("ensemble", "linear_model", "neural_network"))
scaler, svm, tree = (Late(f"sklearn.{name}") for name in ("preprocessing", "svm", "tree"))
MODELS = {
    "mlp": lambda: neural.MLPClassifier((5,), solver="lbfgs", max_iter=500, random_state=0),
    "logistic": lambda: linear.LogisticRegression(max_iter=1000),
    "pipeline": lambda: scaled(linear.LogisticRegression()),
    "svc": lambda: scaled(svm.LinearSVC()),
    "ridge": lambda: linear.RidgeClassifier(),
    "linear": lambda: linear.LinearRegression(),
    "mlp regressor": lambda: neural.MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=500, random_state=0),
}
ESTIMATORS = {
    "tree classifier": lambda: tree.DecisionTreeClassifier(random_state=0),
    "forest classifier": lambda: ensemble.RandomForestClassifier(10, random_state=0),
    "bagging classifier": lambda: ensemble.BaggingClassifier(n_estimators=5, max_features=3, random_state=0),
    "scaled boosting classifier": lambda: scaled(ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0)),
    "forest": lambda: ensemble.ExtraTreesRegressor(10, random_state=0),
    "boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0),
}


def scaled(estimator):
    return Late("sklearn.pipeline").make_pipeline(scaler.StandardScaler(), estimator)


@cache
def iris():
    """Four columns of 150 flowers, and their classes."""
    columns, classes = Late("sklearn.datasets").load_iris(return_X_y=True)
    return columns.astype(np.float32), classes


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_standard_operators_only(name, classes, notes):
    x, y = iris()
    keep = classes > y
    estimator = MODELS[name]().fit(x[keep], y[keep])
    model = to_onnx(estimator, inputs=x[:6])
    assert notes(model, "parity")["of_tolerance"] < 1
    assert {node.domain for node in model.graph.node} == {""}
    assert {entry.domain for entry in model.opset_import} == {""}
    assert len(model.graph.output) == 1
    got = ort.InferenceSession(model.SerializeToString()).run(None, {"input": x})[0]
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(got, estimator.predict_proba(x), atol=1e-4)


def test_trees_have_no_gradients():
    forest = ensemble.RandomForestClassifier(5, random_state=0).fit(*iris())
    with pytest.warns(UserWarning, match="only tree-shap \\(of trees\\) and black-box methods"):
        model = to_onnx(forest, inputs=iris()[0][:6])
    assert {entry.key: entry.value for entry in model.metadata_props}["onnxray.methods"] == "black-box"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*has no gradients")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_tree_shap_of_estimators(name):
    """By all coalitions of four columns. The package shap agrees to 2e-7 where it is fed with the file's nodes."""
    columns, classes = iris()
    wanted, k = classes if "classifier" in name else columns[:, 0] * columns[:, 1], 0
    estimator = ESTIMATORS[name]().fit(columns, wanted)
    model = to_onnx(estimator, inputs=columns[:6])
    x, background = columns[::50], columns[5::30]
    found = onnxray.explain(model, x, "tree-shap", target=k, baseline=background)
    margin = getattr(estimator, "decision_function", None) or getattr(estimator, "predict_proba", estimator.predict)
    expected = tree_shap(lambda rows: np.asarray(margin(rows)).reshape(len(rows), -1)[:, k], x, background)
    np.testing.assert_allclose(found.values, expected, atol=2e-6 * np.abs(expected).max())
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)


def test_not_fitted():
    with pytest.raises(ConversionError, match="call fit"):
        to_onnx(linear.LogisticRegression())


def test_pickles_only_on_request(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(linear.LogisticRegression(max_iter=500).fit(*iris())))
    with pytest.raises(ConversionError, match="allow_pickle=True"):
        to_onnx(path)
    assert to_onnx(path, allow_pickle=True).graph.node
