"""Feature permutation: all pairs of examples by their formula, several inputs, saved files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, TOLERANCE, Array, model, normal
from failing import fails
from measures import distance
from onnxray.methods.feature_permutation import values_of_others

W = normal(4, 3)
SUM = """net (float[N, 4] u, float[2, N] v) => (float[N, 3] y) {
    a = MatMul(u, W)  t = Transpose<perm=[1, 0]>(v)  b = MatMul(t, V)  y = Add(a, b)
}"""


def test_every_other_example_once_is_the_mean_over_all_pairs(tmp_path: Path) -> None:
    """Of a sum the fall is w (x - the mean of the others), wherever an input counts examples, and in a file, too."""
    u, v = normal(5, 4), normal(2, 5)
    explainer = onnxray.Explainer(model(SUM, {"W": W, "V": normal(2, 3)}), "feature-permutation", samples=4)
    found = explainer({"u": u, "v": v}, target=1).values
    assert distance(found["u"], (u - u.mean(0)) * 5 / 4 * W[:, 1]) <= TOLERANCE
    assert distance(found["v"], (v - v.mean(1, keepdims=True)) * 5 / 4 * normal(2, 3)[:, 1:2]) <= TOLERANCE
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    assert {given.name for given in session.get_inputs()} == {"u", "v", "others/u", "others/v", "target"}
    others = [values_of_others(array, np.arange(array.shape[1])[None], 4, 0) for array in (u, v.T)]
    feeds = {"u": u, "v": v, "others/u": others[0], "others/v": others[1], "target": np.full(5, 1)}
    for name, values in zip("uv", session.run(["attribution_u", "attribution_v"], feeds), strict=True):
        assert distance(values, found[name]) <= TOLERANCE


def test_the_mean_over_the_batch_is_the_importance() -> None:
    """Breiman's: the score of a Relu of one column falls by the covariance with it, and a constant has none."""
    net = model("net (float[N, 3] x) => (float[N, 1] y) { r = Relu(x)  y = MatMul(r, w) }", {"w": W[:3, :1]})
    x = normal(6, 3)
    x[:, 1] = 0.5
    found = onnxray.explain(net, x, "feature-permutation", target=0, samples=5).values
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-6)
    assert (np.abs(found[:, [0, 2]]).max(0) > 0.1).all()


@pytest.mark.parametrize("samples", [1, 3, 7])
def test_no_example_keeps_its_own_values(samples: int) -> None:
    examples = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = values_of_others(examples, np.array([[0, 1, 1]]), samples, 3)
    assert found.shape == (4, samples, 3)
    for draw in found.transpose(1, 0, 2):
        np.testing.assert_array_equal(np.sort(draw, 0), examples)
        assert (draw != examples).all()
        np.testing.assert_array_equal(draw[:, 2] - draw[:, 1], np.ones(4))  # the columns of a group from one example


def test_superpixels_of_each_example() -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    x = CONV.x(2)
    found = onnxray.explain(CONV.proto(), x, "feature-permutation", target=1, groups="superpixels", cells=2, samples=1)

    def fall(one: int, places: Array) -> float:
        taken = np.where(places, x[1 - one], x[one])
        return (CONV.scores(x[one][None]) - CONV.scores(taken[None]))[0, 1]

    for one in range(2):
        values = found.values[one]
        for value in np.unique(values):
            assert fall(one, values == value) == pytest.approx(value, abs=1e-5)


def test_what_is_refused() -> None:
    with fails(onnxray.InputError, "feature-permutation", "other examples", "two or more"):
        onnxray.explain(CONV.proto(), CONV.x(1), "feature-permutation")
    with fails(onnxray.InputError, "feature-permutation", "'relu'", "inside", "feature-ablation"):
        onnxray.explain(CONV.proto(), CONV.x(), "feature-permutation", features="relu")
    with fails(onnxray.InputError, "feature-permutation", "baseline", "samples"):
        onnxray.explain(CONV.proto(), CONV.x(), "feature-permutation", baseline=1.0)
