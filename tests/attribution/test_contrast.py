"""The difference of two scores: why this class and not that one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, DENSE, TOLERANCE, model, normal
from measures import distance
from onnxray.scores import Contrast


@pytest.mark.parametrize(
    ("this", "that", "pairs"),
    [
        (2, 0, [[2, 0]] * 3),
        ([0, 1, 2], 3, [[0, 3], [1, 3], [2, 3]]),
        ([0, 1, 2], [1, 2, 0], [[0, 1], [1, 2], [2, 0]]),
    ],
)
def test_its_gradient_is_that_of_one_score_less_that_of_the_other(this: Any, that: Any, pairs: list[list[int]]) -> None:
    x = CONV.x()
    found = onnxray.explain(CONV.proto(), x, target=Contrast(this, that))
    assert found.target.tolist() == pairs
    truth = np.stack([(CONV.gradient(x, a) - CONV.gradient(x, b))[k] for k, (a, b) in enumerate(pairs)])
    assert distance(found.values, truth) <= TOLERANCE
    scores = CONV.scores(x)
    assert distance(found.score, np.array([scores[k, a] - scores[k, b] for k, (a, b) in enumerate(pairs)])) <= TOLERANCE


def test_the_top_class_against_another_is_settled_at_the_input() -> None:
    """A path to a baseline, on which another class is the top one, explains the class of the input."""
    x = CONV.x()
    top = CONV.scores(x).argmax(1)
    found = onnxray.explain(CONV.proto(), x, "integrated-gradients", target=Contrast("top1", 0), steps=5)
    again = onnxray.explain(CONV.proto(), x, "integrated-gradients", target=Contrast(top, 0), steps=5)
    assert found.target.tolist() == [[k, 0] for k in top]
    np.testing.assert_array_equal(found.values, again.values)


def test_scores_of_several_axes_take_tuples() -> None:
    net = model("net (float[N, 2, 3] x) => (float[N, 2, 3] y) { y = Mul(x, x) }")
    x = normal(2, 2, 3)
    found = onnxray.explain(net, x, target=Contrast((0, 1), (1, 2)), score="output")
    truth = np.zeros_like(x)
    truth[:, 0, 1], truth[:, 1, 2] = 2 * x[:, 0, 1], -2 * x[:, 1, 2]
    np.testing.assert_allclose(found.values, truth)
    assert found.target.tolist() == [[[0, 1], [1, 2]]] * 2
    with pytest.raises(onnxray.InputError, match="target 1 names none of the scores"):
        onnxray.explain(net, x, target=Contrast(1, (1, 2)), score="output")


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_it_is_saved(method: str, tmp_path: Path) -> None:
    x, explainer = DENSE.x(), onnxray.Explainer(DENSE.proto(), method)
    file = explainer.save(tmp_path / "e.onnx", target="contrast")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = {"x": x, "target": np.array([[0, 1], [2, 3], [-1, 0]])}
    score, values = session.run(["score", "attribution"], feeds)
    top = DENSE.scores(x)[2].argmax()
    found = explainer(x, Contrast([0, 2, top], [1, 3, 0]))
    assert distance(values, found.values) <= TOLERANCE
    assert distance(score, found.score) <= TOLERANCE


def test_weights_are_saved(tmp_path: Path) -> None:
    x, weights, explainer = DENSE.x(), normal(3, 4), onnxray.Explainer(DENSE.proto(), "integrated-gradients", steps=3)
    file = explainer.save(tmp_path / "e.onnx", target="weights")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (values,) = session.run(["attribution"], {"x": x, "seed": weights})
    assert distance(values, np.asarray(explainer(x, weights).values)) <= TOLERANCE
    with pytest.raises(onnxray.InputError, match="no kind of target 'contrst'; did you mean 'contrast'"):
        explainer.save(tmp_path / "e.onnx", target="contrst")


@pytest.mark.parametrize(
    ("that", "said"), [(9, "target 9 is out of range"), ("cat", "target 'cat': give a class index")]
)
def test_what_is_no_score_is_refused(that: Any, said: str) -> None:
    with pytest.raises(onnxray.InputError, match=said):
        onnxray.explain(DENSE.proto(), DENSE.x(), target=Contrast(1, that))


def test_a_contrast_of_a_score_with_itself_is_told() -> None:
    x = DENSE.x()
    top = DENSE.scores(x).argmax(1)
    with pytest.warns(
        UserWarning, match=f"a score with itself is zero, that of example {np.flatnonzero(top == top[0])[0]}"
    ):
        onnxray.explain(DENSE.proto(), x, target=Contrast("top1", int(top[0])))


def test_a_contrast_of_a_score_with_itself_is_told_once() -> None:
    """The runs that look for the reason of its map of zeros say it no second time, of other numbers of examples."""
    x = DENSE.x()
    top = DENSE.scores(x).argmax(1)
    with pytest.warns(UserWarning, match="zero") as caught:
        onnxray.explain(DENSE.proto(), x, target=Contrast("top1", [int(k) for k in (top + np.array([1, 1, 0])) % 4]))
    found = [str(one.message) for one in caught if "with itself" in str(one.message)]
    assert found == ["the contrast of a score with itself is zero, that of example 2"]


def test_a_map_of_nothing_but_zeros_says_why() -> None:
    """The reasons are found for a contrast, too: here the Softmax is saturated."""
    net = model("net (float[N, 3] x) => (float[N, 3] y) { y = Softmax(x) }")
    x = np.array([[900, 0, 0]], np.float32)
    with pytest.warns(UserWarning, match="is zero everywhere: the final Softmax is saturated"):
        onnxray.explain(net, x, target=Contrast(0, 1), score="output")
