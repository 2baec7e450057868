"""Heads of classifiers: what their logits are, walked back from whatever stands behind the activation."""

from __future__ import annotations

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import DENSE, Array, Dense, normal
from measures import distance
from onnxray.diagnostics.inspection import inspect
from onnxray.gate.metrics.quality_case import QualityCase
from onnxray.gate.model_under_test import open_model_under_test

ONE = Dense(classes=1)
ML = '<ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 3]>'

# As skl2onnx writes classifiers of two classes: z is the log-odds of the second one.
PAIRS = {
    "MLPClassifier": "p = Sigmoid(z) q = Sub(unity, p) y = Concat<axis=1>(q, p)",
    "cast": "p = Sigmoid(z) c = Cast<to=1>(p) q = Sub(unity, c) m = Concat<axis=-1>(q, c) y = Identity(m)",
    "OneVsRestClassifier": "p = Sigmoid(z) s = Slice(p, nought, last, last) c = Concat<axis=1>(s) q = Sub(unity, c)"
    " m = Concat<axis=1>(q, c) t = ReduceSum(m, last) y = Div(m, t)",
    "LpNormalization": "p = Sigmoid(z) q = Sub(unity, p) m = Concat<axis=1>(q, p) y = LpNormalization<axis=-1, p=1>(m)",
    "Normalizer": 'p = Sigmoid(z) q = Sub(unity, p) m = Concat<axis=1>(q, p) y = ai.onnx.ml.Normalizer<norm="L1">(m)',
}


def pair(tail: str) -> onnx.ModelProto:
    """The dense net by hand with one logit and a tail that makes two scores of it."""
    proto = onnx.parser.parse_model(
        f"""{ML} net (float[N, 6] x) => (float[N, 2] y) {{
            h = Gemm(x, A, a) r = Relu(h) z = Gemm(r, B, b) {tail} }}"""
    )
    arrays = ONE.weights | {"unity": np.float32([1])}
    arrays |= {"nought": np.array([0]), "last": np.array([1])}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    return proto


@pytest.mark.parametrize("tail", PAIRS.values(), ids=PAIRS)
def test_two_classes_have_the_log_odds_of_each(tail: str) -> None:
    proto, x = pair(tail), ONE.x()
    for k, sign in ((0, -1), (1, 1)):
        found = onnxray.explain(proto, x, target=k)
        assert distance(found.values, sign * ONE.gradient(x, 0)) < 1e-5
        assert distance(found.score, sign * ONE.scores(x)[:, 0]) < 1e-5
    top = onnxray.explain(proto, x)
    np.testing.assert_array_equal(top.target, (ONE.scores(x)[:, 0] > 0).astype(int))


def test_a_saturated_pair_is_explained() -> None:
    """1 - p is 0 in float32 from a logit of 17 on, and every gradient with it."""
    x = 1e4 * ONE.x()
    assert np.abs(ONE.scores(x)).min() > 20
    assert distance(onnxray.explain(pair(PAIRS["MLPClassifier"]), x, target=1).values, ONE.gradient(x, 0)) < 1e-5


def test_what_is_no_pair_is_taken_as_it_is() -> None:
    for tail in (
        "p = Sigmoid(z) q = Sub(p, unity) y = Concat<axis=1>(q, p)",
        "p = Sigmoid(z) o = Sigmoid(z) q = Sub(unity, o) y = Concat<axis=1>(q, p)",
        "p = Tanh(z) q = Sub(unity, p) y = Concat<axis=1>(q, p)",
        "p = Sigmoid(z) q = Sub(unity, p) m = Concat<axis=1>(q, p) t = ReduceSum(m, nought) y = Div(m, t)",
    ):
        x, proto = ONE.x(), pair(tail)
        logit, output = (onnxray.explain(proto, x, target=1, score=score).values for score in ("logit", "output"))
        np.testing.assert_array_equal(logit, output)


@pytest.mark.parametrize("tail", ["p = Softmax(z) t = ReduceSum(p, last) y = Div(p, t)", "y = Softmax(z)"])
def test_a_normalised_softmax(tail: str) -> None:
    x, proto = DENSE.x(), DENSE.proto(tail)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "last"))
    assert distance(onnxray.explain(proto, x, target=2).values, DENSE.gradient(x, 2)) < 1e-5


SPELLED = {
    "plain": "e = Exp(z) t = ReduceSum(e, last) y = Div(e, t)",
    "stable": "m = ReduceMax(z, last) d = Sub(z, m) e = Exp(d) t = ReduceSum<keepdims=1>(e, last) y = Div(e, t)",
    "jax2tf": "m = ReduceMax<keepdims=0>(z, last) l = Max(nothing, m) c = Unsqueeze(l, last) s = Shape(z)"
    " w = Expand(c, s) d = Sub(z, w) e = Exp(d) u = ReduceSum<keepdims=0>(e, last) v = Reshape(u, column)"
    " t = Expand(v, s) y = Div(e, t)",
}


@pytest.mark.parametrize("tail", SPELLED.values(), ids=SPELLED)
def test_a_softmax_in_its_nodes(tail: str) -> None:
    x, proto = DENSE.x(), DENSE.proto(tail)
    arrays = {"last": np.array([1]), "column": np.array([-1, 1]), "nothing": np.float32(-np.inf)}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in arrays.items() if k in tail
    )
    found = onnxray.explain(proto, x)
    assert distance(found.score, DENSE.scores(x).max(1)) < 1e-5
    for k in range(4):
        assert distance(onnxray.explain(proto, x, target=k).values, DENSE.gradient(x, k)) < 1e-5


@pytest.mark.parametrize(
    "tail",
    ["e = Exp(z) t = ReduceSum(e, first) y = Div(e, t)", "e = Exp(z) f = Exp(z) t = ReduceSum(e, last) y = Div(f, t)"],
)
def test_what_is_no_softmax_is_taken_as_it_is(tail: str) -> None:
    proto = DENSE.proto(tail)
    arrays = {"last": np.array([1]), "first": np.array([0])}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in arrays.items() if k in tail)
    found = inspect(onnxray.load(proto)).score
    assert found is not None
    assert (found.logits, found.activation) == ("y", None)


def test_a_maximum_over_examples_is_part_of_the_logits() -> None:
    """It differs from class to class, other than that of a row."""
    proto = DENSE.proto("m = ReduceMax(z, first) d = Sub(z, m) e = Exp(d) t = ReduceSum(e, last) y = Div(e, t)")
    arrays = {"last": np.array([1]), "first": np.array([0])}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in arrays.items())
    found = inspect(onnxray.load(proto)).score
    assert found is not None
    assert found.logits == "d"


# LinearClassifier, whose activation is part of it ------------------------------------------------------------

WEIGHTS = normal(3, 6)


def linear(post: str, rows: int, tail: str = "y = Identity(p)") -> onnx.ModelProto:
    numbers, offsets = (", ".join(map(str, array.ravel())) for array in (WEIGHTS[:rows], np.arange(rows) / 4))
    classes = max(rows, 2)
    labels = ", ".join(map(str, range(classes)))
    return onnx.parser.parse_model(
        f"""{ML} net (float[N, 6] x) => (float[N, {classes}] y) {{
            l, p = ai.onnx.ml.LinearClassifier<coefficients=[{numbers}], intercepts=[{offsets}],
                classlabels_ints=[{labels}], post_transform="{post}">(x) {tail} }}"""
    )


def slope(rows: int) -> Array:
    return np.stack([-WEIGHTS[0], WEIGHTS[0]]) if rows == 1 else WEIGHTS[:rows]


@pytest.mark.parametrize(("post", "rows"), [("SOFTMAX", 3), ("LOGISTIC", 3), ("LOGISTIC", 1), ("NONE", 3)])
def test_a_linear_classifier_is_explained_before_its_post_transform(post: str, rows: int) -> None:
    proto, x = linear(post, rows), 100 * normal(2, 6)
    for k in range(max(rows, 2)):
        found = onnxray.explain(proto, x, target=k)
        assert distance(found.values, np.tile(slope(rows)[k], (2, 1))) < 1e-5
        assert distance(found.score, x @ slope(rows)[k] + (rows > 1) * k / 4) < 1e-5


def test_a_normalised_softmax_of_a_linear_classifier() -> None:
    """As skl2onnx writes LogisticRegression; a normalised LOGISTIC of three is no softmax and has no logits."""
    tail = 'y = ai.onnx.ml.Normalizer<norm="L1">(p)'
    found = onnxray.explain(linear("SOFTMAX", 3, tail), normal(2, 6), target=1)
    assert distance(found.values, np.tile(WEIGHTS[1], (2, 1))) < 1e-5
    logit, output = (
        onnxray.explain(linear("LOGISTIC", 3, tail), normal(2, 6), target=1, score=score).values
        for score in ("logit", "output")
    )
    np.testing.assert_array_equal(logit, output)


# Who else asks for the head ----------------------------------------------------------------------------------


def test_inspect_tells_of_the_log_odds() -> None:
    found = inspect(onnxray.load(pair(PAIRS["MLPClassifier"]))).score
    assert found is not None
    assert found.activation is not None
    assert (found.tensor, found.logits, found.activation.op) == ("y", "z", "Sigmoid")


def test_the_gate_reads_probabilities_and_logits_of_a_pair() -> None:
    x = ONE.x(1)
    side = open_model_under_test(pair(PAIRS["MLPClassifier"]), ["saliency"], threads=1)
    given = side.prepared(x)
    target = side.evidence(given, 0).target
    subject = QualityCase(side, given, target, "saliency", ONE.gradient(x, 0)[0], np.random.default_rng(0))
    z = ONE.scores(x)[:, 0]
    np.testing.assert_allclose(subject.probabilities(x), 1 / (1 + np.exp(z)), rtol=1e-5)
    np.testing.assert_allclose(subject.scores(x), -z, rtol=1e-4)


def test_the_gate_compares_the_layers_of_a_pair() -> None:
    proto = pair(PAIRS["MLPClassifier"])
    found = onnxray.compare(proto, proto, ONE.x(), methods=["saliency", "input-x-gradient"], threads=1)
    assert found.passed
    assert found.layers is not None
    assert found.layers.breaks is None
