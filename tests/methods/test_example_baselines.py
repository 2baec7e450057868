"""Baselines of each example, and the mean of the examples: what one constant baseline gives, example by example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import onnxruntime
import pytest
from black_box import QUICK, every_day
from by_hand import CONV, DENSE, Array, model, normal
from measures import distance
from onnxray.errors import InputError
from replicas import REPLICAS

OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 5}, "occlusion": {"window": 3}, "deep-lift": {}, "feature-ablation": {"cells": 2},
    **{name: QUICK[name] for name in ("rise", "kernel-shap", "lime", "shapley-sampling")},
}  # fmt: skip


def truth_of(method: str, x: Array, starts: Array) -> Array:
    one_by_one = zip(x, starts, strict=True)
    return np.concatenate(
        [REPLICAS[method](CONV, one[None], 2, baseline=start, **OPTIONS[method]) for one, start in one_by_one]
    )


@pytest.mark.parametrize("method", every_day(OPTIONS))
def test_each_example_has_its_own_baseline(method: str, tmp_path: Path) -> None:
    """In a call, row by row, and in a file, where it is an input."""
    x, starts = CONV.x(), normal(*CONV.x().shape, seed=9)
    explainer = onnxray.Explainer(CONV.proto(), method, baseline=starts, **OPTIONS[method])
    truth = truth_of(method, x, starts)
    assert distance(explainer(x, 2).values, truth) <= 1e-5
    explainer.memory = 1
    assert distance(explainer(x, 2).values, truth) <= 1e-5
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    feeds = {"x": x, "target": np.full(len(x), 2), "baseline/x": starts}
    assert distance(session.run(["attribution"], feeds)[0], truth) <= 1e-5


@pytest.mark.parametrize("method", ["integrated-gradients", "feature-ablation"])
def test_the_mean_of_the_examples(method: str) -> None:
    x = CONV.x()
    explainer = onnxray.Explainer(CONV.proto(), method, baseline="mean", **OPTIONS[method])
    for some in (x, x[:2]):
        truth = truth_of(method, some, np.broadcast_to(some.mean(0), some.shape))
        assert distance(explainer(some, 2).values, truth) <= 1e-5
    with pytest.raises(InputError, match="baseline 'mean' of one example is that example"):
        explainer(x[:1], 2)


def test_noisy_copies_go_from_the_baseline_of_their_example() -> None:
    x, starts = DENSE.x(3), normal(3, 6, seed=9)
    options: dict[str, Any] = {"of": "integrated-gradients", "steps": 3, "samples": 2, "target": 1}
    found = onnxray.explain(DENSE.proto(), x, "smoothgrad", baseline=starts, **options)
    pairs = zip(x, starts, strict=True)
    truth = [onnxray.explain(DENSE.proto(), one[None], "smoothgrad", baseline=start, **options) for one, start in pairs]
    assert distance(found.values, np.concatenate([np.asarray(one.values) for one in truth])) <= 1e-5


def test_examples_along_another_axis() -> None:
    """The baselines' first axis counts examples, wherever the input's does; the score is (w . a)(w . b)."""
    w, starts = normal(4, 3), {"a": normal(5, 4, seed=9), "b": normal(5, 4, seed=8)}
    text = """net (float[N, 4] a, float[4, N] b) => (float[N, 3] y) {
        p = MatMul(a, W) t = Transpose(b) q = MatMul(t, W) y = Mul(p, q) }"""
    x = {"a": normal(5, 4), "b": normal(4, 5)}
    for method, options in (("integrated-gradients", {"steps": 4}), ("deep-lift", {})):
        found = onnxray.explain(model(text, {"W": w}), x, method, target=1, baseline=starts, **options)
        sums = found.values["a"].sum(1) + found.values["b"].sum(0)
        scores = [((a @ w) * (b @ w))[:, 1] for a, b in ((x["a"], x["b"].T), starts.values())]
        np.testing.assert_allclose(sums, scores[0] - scores[1], rtol=1e-4, atol=1e-5)


def test_as_many_baselines_as_examples() -> None:
    with pytest.raises(InputError, match="baseline/x: 2 arrays for 3 examples; give one for each"):
        onnxray.explain(DENSE.proto(), DENSE.x(3), "integrated-gradients", target=1, baseline=normal(2, 6))
    with pytest.raises(InputError, match=r"baseline of shape \(2, 5\) for input 'x': .*, one for each example along"):
        onnxray.explain(DENSE.proto(), DENSE.x(3), "integrated-gradients", target=1, baseline=normal(2, 5))
    with pytest.raises(InputError, match="baseline 'mean' for input 'x': give a finite number"):
        onnxray.explain(DENSE.proto(), DENSE.x(3), "expected-gradients", target=1, baseline="mean")
