"""Expected gradients: completeness in the limit, saved, row by row, on several inputs, refusals.

Captum draws other numbers, so it was compared once, on a perceptron with tanh, 6 inputs and 4 baselines: of 20,000
samples each, GradientShap of Captum 0.9 without noise is 0.018 away (relative L2), NoiseTunnel's smoothgrad,
smoothgrad_sq and vargrad 0.012, 0.009 and 0.022 from SmoothGrad's statistics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, DENSE, model, normal
from measures import distance
from onnxray.errors import InputError
from replicas import REPLICAS

BASELINES = normal(4, 2, 6, 5, seed=9)
OPTIONS: dict[str, Any] = {"samples": 6, "baseline": BASELINES, "seed": 2}


@pytest.mark.parametrize("memory", ["1GB", 1], ids=["at once", "row by row"])
def test_a_saved_file_gives_the_same_map(memory: Any, tmp_path: Path) -> None:
    x = CONV.x()
    explainer = onnxray.Explainer(CONV.proto(), "expected-gradients", memory=memory, **OPTIONS)
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(["attribution"], {"x": x, "target": np.full(len(x), 2)})
    assert distance(found, REPLICAS["expected-gradients"](CONV, x, 2, **OPTIONS)) <= 1e-5
    assert distance(explainer(x, 2).values, found) <= 1e-5


def test_the_sum_nears_the_difference_from_the_mean_baseline() -> None:
    x, baselines = DENSE.x(), normal(5, 6, seed=4)
    truth = (DENSE.scores(x) - DENSE.scores(baselines).mean(0))[:, 1]
    errors = []
    for samples in (50, 5000):
        a = onnxray.explain(DENSE.proto(), x, "expected-gradients", target=1, samples=samples, baseline=baselines)
        errors.append(np.linalg.norm(np.asarray(a.values).sum(1) - truth) / np.linalg.norm(truth))
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 3  # one over the root of the samples would be 10


def test_an_example_has_the_same_map_in_every_batch() -> None:
    explainer = onnxray.Explainer(CONV.proto(), "expected-gradients", **OPTIONS)
    x = CONV.x()
    np.testing.assert_allclose(explainer(x[1:2], 2).values, explainer(x, 2).values[1:2], rtol=1e-5, atol=1e-6)


def test_examples_of_two_inputs_stand_beside_each_other() -> None:
    """Of x times y the gradient at the place is that of the other input there."""
    both = model("net (float[N, 1] x, float[N, 1] y) => (float[N, 1] z) { z = Mul(x, y) }")
    starts = {"x": np.array([[1.0], [2.0]]), "y": np.array([[10.0], [20.0]])}
    a = onnxray.explain(both, {"x": np.float32([[3]]), "y": np.float32([[5]])}, "expected-gradients", target=0,
                        samples=2, baseline=starts)  # fmt: skip
    rng = np.random.default_rng(0)
    order, alphas = rng.permutation(2), rng.random(2)
    pairs = [(starts["x"][k, 0], starts["y"][k, 0], t) for k, t in zip(order, alphas, strict=True)]
    dx = np.mean([(3 - p) * (q + t * (5 - q)) for p, q, t in pairs])
    dy = np.mean([(5 - q) * (p + t * (3 - p)) for p, q, t in pairs])
    np.testing.assert_allclose([a.values["x"].item(), a.values["y"].item()], [dx, dy], rtol=1e-5)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (normal(4, 2, 6, 4), r"baseline of shape \(4, 2, 6, 4\) for input 'x'.*several examples, along a first axis"),
        (normal(0, 2, 6, 5), r"baseline of shape \(0, 2, 6, 5\)"),
        (np.full((2, 2, 6, 5), np.nan), "give a finite number"),
        ("mean", "baseline 'mean' for input 'x'"),
    ],
)
def test_a_baseline_of_another_shape_is_one_line(baseline: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        onnxray.explain(CONV.proto(), CONV.x(), "expected-gradients", target=1, baseline=baseline)
    assert "\n" not in str(caught.value)


def test_inputs_with_other_numbers_of_examples_are_refused() -> None:
    both = model("net (float[N, 1] x, float[N, 1] y) => (float[N, 1] z) { z = Mul(x, y) }")
    with pytest.raises(InputError, match="2 and 3 examples for the inputs; give as many"):
        onnxray.Explainer(both, "expected-gradients", baseline={"x": normal(2, 1), "y": normal(3, 1)})
