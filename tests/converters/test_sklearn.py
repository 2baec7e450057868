"""scikit-learn: perceptrons and linear models in standard operators, trees with a warning."""

from __future__ import annotations

import pickle

import numpy as np
import onnxray
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnxray.converters import to_onnx  # noqa: E402
from onnxray.errors import ConversionError  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import LinearSVC  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402
from tree_nets import tree_shap  # noqa: E402

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
MODELS = {
    "mlp": MLPClassifier((5,), solver="lbfgs", max_iter=500, random_state=0),
    "logistic": LogisticRegression(max_iter=1000),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "svc": make_pipeline(StandardScaler(), LinearSVC()),
    "ridge": RidgeClassifier(),
    "linear": LinearRegression(),
    "mlp regressor": MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=500, random_state=0),
}
ESTIMATORS = {
    "tree classifier": DecisionTreeClassifier(random_state=0),
    "forest classifier": RandomForestClassifier(10, random_state=0),
    "bagging classifier": BaggingClassifier(n_estimators=5, max_features=3, random_state=0),
    "scaled boosting classifier": make_pipeline(
        StandardScaler(), GradientBoostingClassifier(n_estimators=8, random_state=0)
    ),
    "forest": ExtraTreesRegressor(10, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=20, random_state=0),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_standard_operators_only(name, classes, notes):
    keep = classes > Y
    estimator = MODELS[name].fit(X[keep], Y[keep])
    model = to_onnx(estimator, inputs=X[:6])
    assert notes(model, "parity")["of_tolerance"] < 1
    assert {node.domain for node in model.graph.node} == {""}
    assert {entry.domain for entry in model.opset_import} == {""}
    assert len(model.graph.output) == 1
    got = ort.InferenceSession(model.SerializeToString()).run(None, {"input": X})[0]
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(got, estimator.predict_proba(X), atol=1e-4)


def test_trees_have_no_gradients():
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)
    with pytest.warns(UserWarning, match="only tree-shap \\(of trees\\) and black-box methods"):
        model = to_onnx(forest, inputs=X[:6])
    assert {entry.key: entry.value for entry in model.metadata_props}["onnxray.methods"] == "black-box"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*has no gradients")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_tree_shap_of_estimators(name):
    """By all coalitions of four columns. The package shap agrees to 2e-7 where it is fed with the file's nodes."""
    estimator, k = ESTIMATORS[name].fit(X, Y if "classifier" in name else X[:, 0] * X[:, 1]), 0
    model = to_onnx(estimator, inputs=X[:6])
    x, background = X[::50], X[5::30]
    found = onnxray.explain(model, x, "tree-shap", target=k, baseline=background)
    margin = getattr(estimator, "decision_function", None) or getattr(estimator, "predict_proba", estimator.predict)
    expected = tree_shap(lambda rows: np.asarray(margin(rows)).reshape(len(rows), -1)[:, k], x, background)
    np.testing.assert_allclose(found.values, expected, atol=2e-6 * np.abs(expected).max())
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)


def test_not_fitted():
    with pytest.raises(ConversionError, match="call fit"):
        to_onnx(LogisticRegression())


def test_pickles_only_on_request(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(LogisticRegression(max_iter=500).fit(X, Y)))
    with pytest.raises(ConversionError, match="allow_pickle=True"):
        to_onnx(path)
    assert to_onnx(path, allow_pickle=True).graph.node
