"""Methods that look at a model from outside: exactness, convergence, several inputs, tokens, series, saved files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import onnxruntime
import pytest
from black_box import QUICK, enlarged_all, every_day, game, groups_of, shapley_values
from by_hand import CONV, TOLERANCE, Array, model, normal
from measures import distance
from onnxray.methods.lime import Lime
from onnxray.methods.shapley_sampling import ShapleySampling

W = normal(4, 3)


def saved(explainer: onnxray.Explainer, file: Path, feeds: dict[str, Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(explainer.save(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs() if output.name.startswith("attribution")]
    return session.run(names, feeds)


def test_kernel_shap_of_all_coalitions_is_exact_and_complete() -> None:
    """Eight groups that are no cells: 254 coalitions."""
    x, groups = CONV.x(), np.arange(60).reshape(2, 6, 5) % 8
    found = onnxray.explain(CONV.proto(), x, "kernel-shap", target=1, groups=groups, baseline=0.5).values
    truth = shapley_values(game(CONV, x, 1, groups_of(x, groups), 0.5), 8)
    for group in range(8):
        np.testing.assert_allclose(found[:, groups == group].mean(1), truth[group], atol=TOLERANCE)
    change = (CONV.scores(x) - CONV.scores(np.full_like(x, 0.5)))[:, 1]
    np.testing.assert_allclose(truth.sum(0), change)


@pytest.mark.parametrize(("method", "samples"), [("kernel-shap", 200), ("shapley-sampling", 2)])
def test_few_samples_are_complete(method: str, samples: int) -> None:
    x, groups = CONV.x(), np.arange(30).reshape(6, 5)
    found = onnxray.explain(CONV.proto(), x, method, target=1, groups=groups, samples=samples, seed=3).values
    change = (CONV.scores(x) - CONV.scores(np.zeros_like(x)))[:, 1]
    np.testing.assert_allclose(found[:, 0].sum((1, 2)), change, atol=TOLERANCE * np.abs(change).max())


def test_the_error_of_shapley_sampling_falls_as_one_over_the_root() -> None:
    """Of 9 groups; sixteen times the orders, a quarter of the error, within what 20 seeds leave open."""
    x, groups = CONV.x(1), (np.arange(60) % 9).reshape(2, 6, 5)
    bits = 1 << np.arange(9)
    every = game(CONV, x, 1, groups, 0.0)(np.arange(2**9)[:, None] & bits)
    truth = shapley_values(lambda kept: every[kept.astype(int) @ bits], 9)[:, 0]

    def found(samples: int, seed: int) -> Array:
        kept, credit = ShapleySampling(samples=samples, seed=seed).design(9)
        return credit.T @ (every[kept.astype(int) @ bits] - every[-1])[:, 0]

    few, many = (np.mean([(found(n, seed) - truth) ** 2 for seed in range(20)]) ** 0.5 for n in (2, 32))
    assert 3 < few / many < 5


@pytest.mark.parametrize("method", ["feature-ablation", "kernel-shap", "lime", "shapley-sampling", "rise"])
def test_several_inputs_wherever_their_axis_of_examples_is(method: str, tmp_path: Path) -> None:
    """y = sum u W + sum v V: the groups of both inputs are players of one game, in which each has its own part."""
    net = model(
        """net (float[N, 4] u, float[2, N] v) => (float[N, 3] y) {
            a = MatMul(u, W)
            t = Transpose<perm=[1, 0]>(v)
            b = MatMul(t, V)
            y = Add(a, b)
        }""",
        {"W": W, "V": normal(2, 3)},
    )
    u, v = normal(5, 4), normal(2, 5)
    options = {"ridge": 1e-9} if method == "lime" else {}
    explainer = onnxray.Explainer(net, method, **options)
    a = explainer({"u": u, "v": v}, target=1).values
    if method != "rise":
        assert distance(a["u"], u * W[:, 1]) <= TOLERANCE
        assert distance(a["v"], (v.T * normal(2, 3)[:, 1]).T) <= TOLERANCE
    found = saved(explainer, tmp_path / "e.onnx", {"u": u, "v": v, "target": np.full(5, 1)})
    for name, values in zip("uv", found, strict=True):
        assert distance(values, a[name]) <= TOLERANCE


def test_a_product_of_two_inputs_is_shared_by_halves() -> None:
    net = model("net (float[N, 1] u, float[N, 1] v) => (float[N, 1] y) { y = Mul(u, v) }")
    u, v = normal(3, 1), normal(3, 1, seed=1)
    a = onnxray.explain(net, {"u": u, "v": v}, "kernel-shap", target=0)
    for name in "uv":
        np.testing.assert_allclose(a.values[name], u * v / 2, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:the model takes integers")
@pytest.mark.parametrize("method", ["feature-ablation", "kernel-shap", "rise"])
def test_tokens_are_groups(method: str, tmp_path: Path) -> None:
    """Each token's embedding is hidden whole, and each of its values has the token's attribution."""
    words, head, places = normal(9, 4), normal(4, 3), np.array([1, 2, 30, 4, 5], np.float32)[:, None]
    net = model(
        """net (int64[N, 5] ids) => (float[N, 3] y) {
            e = Gather(words, ids)
            t = Mul(e, places)
            s = ReduceSum<keepdims=0>(t, one)
            y = MatMul(s, head)
        }""",
        {"words": words, "head": head, "places": places, "one": np.array([1])},
    )
    ids = np.array([[3, 1, 8, 0, 5], [2, 2, 7, 4, 6]])
    explainer = onnxray.Explainer(net, method)
    a = explainer(ids, target=2)
    if method != "rise":
        truth = (words[ids] * places) @ head[:, 2]
        np.testing.assert_allclose(a.map(), truth, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(a.values, np.repeat(truth[:, :, None], 4, 2), rtol=1e-4, atol=1e-5)
    (found,) = saved(explainer, tmp_path / "e.onnx", {"ids": ids, "target": np.full(2, 2)})
    assert distance(found, a.values) <= TOLERANCE


def test_windows_of_time_are_cells() -> None:
    """Two channels over 12 steps, in windows of 4 steps; the score is no sum, and it has no gradient."""
    net = model(
        """net (float[N, 2, 12] x) => (float[N, 2] y) {
            f = Floor(x)
            m = ReduceMax<keepdims=0>(f, last)
            y = Mul(m, m)
        }""",
        {"last": np.array([2])},
    )
    x = 5 * normal(3, 2, 12)

    def score(hidden: Array) -> Array:
        return np.floor(hidden).max(2)[:, 1] ** 2

    found = onnxray.explain(net, x, "feature-ablation", target=1, cells=(1, 3), baseline=-9.0).values
    for k in range(3):
        without = x.copy()
        without[:, :, 4 * k : 4 * k + 4] = -9
        truth = np.broadcast_to((score(x) - score(without))[:, None, None], (3, 2, 4))
        np.testing.assert_allclose(found[:, :, 4 * k : 4 * k + 4], truth, atol=1e-5)


@pytest.mark.parametrize("method", every_day(["feature-ablation", *QUICK]))
def test_memory_changes_no_number_and_progress_is_told(method: str) -> None:
    x, seen = CONV.x(), []
    options: dict[str, Any] = QUICK.get(method, {})
    whole = onnxray.Explainer(CONV.proto(), method, memory="4GB", **options)(x, [1, 2, 3])
    cut = onnxray.Explainer(CONV.proto(), method, memory=1, **options)
    values = cut(x, [1, 2, 3], progress=lambda done, total: seen.append((done, total))).values
    assert distance(values, whole.values) <= 1e-6
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_an_example_that_is_the_whole_input(tmp_path: Path) -> None:
    net = model("net (float[4] x) => (float[3] y) { y = MatMul(x, W) }", {"W": W})
    x = normal(4)
    for method in ("feature-ablation", "kernel-shap"):
        explainer = onnxray.Explainer(net, method)
        found = explainer(x, 1).values
        np.testing.assert_allclose(np.ravel(found), x * W[:, 1], atol=1e-5)
        (again,) = saved(explainer, tmp_path / f"{method}.onnx", {"x": x, "target": np.array([1])})
        np.testing.assert_allclose(np.ravel(again), x * W[:, 1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "cells"), [((30, 23), (7, 5)), ((224, 224), (7, 7)), ((9, 40), (2, 8))])
def test_masks_of_rise_are_enlarged_as_its_authors_do(size: tuple[int, int], cells: tuple[int, int]) -> None:
    """Their code calls skimage.transform.resize with order 1 and mode "reflect"."""
    transform = pytest.importorskip("skimage.transform", reason="scikit-image is not installed")
    high = [-(-n // count) for n, count in zip(size, cells, strict=True)]
    grid = np.random.default_rng(0).random(cells)
    whole = [(count + 1) * cell for count, cell in zip(cells, high, strict=True)]
    truth = transform.resize(grid, whole, order=1, mode="reflect", anti_aliasing=False)
    np.testing.assert_allclose(enlarged_all(grid, size, cells, high), truth, atol=1e-12)


@pytest.mark.slow
def test_lime_is_the_ridge_regression_of_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    kept, credit = Lime(samples=60, ridge=0.7).design(9)
    coalitions, scores = np.vstack([np.ones(9), kept]), np.random.default_rng(0).standard_normal(61)
    weights = np.sqrt(np.exp(-((1 - np.sqrt(coalitions.mean(1))) ** 2) / 0.25**2))
    truth = linear.Ridge(alpha=0.7).fit(coalitions, scores, sample_weight=weights).coef_
    np.testing.assert_allclose(credit.T @ (scores[1:] - scores[0]), truth, atol=1e-12)
