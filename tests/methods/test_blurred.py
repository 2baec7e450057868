"""The blurred input as a baseline, of every method that takes one, against scipy's Gaussian filter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import onnxruntime
import pytest
from black_box import QUICK, every_day
from by_hand import CONV, DENSE
from cli_tools import DIGIT, DIGITS
from measures import distance
from onnxray.cli.app import run
from onnxray.errors import InputError
from replicas import REPLICAS
from scipy.ndimage import gaussian_filter

BLURRED: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 5}, "occlusion": {"window": 3}, "deep-lift": {}, "feature-ablation": {"cells": 2},
    **{name: QUICK[name] for name in ("rise", "kernel-shap", "lime", "shapley-sampling")},
}  # fmt: skip
EXAMPLES = {"expected-gradients", "tree-shap"}  # go from examples of the data


def blurred(x: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(np.asarray(x, np.float64), (0, 0, sigma, sigma), mode="nearest")


def truth_of(method: str, x: np.ndarray, sigma: float, options: dict[str, Any]) -> np.ndarray:
    """Example by example, each with its own baseline."""
    starts = blurred(x, sigma)
    return np.concatenate(
        [REPLICAS[method](CONV, x[k : k + 1], 2, baseline=starts[k], **options) for k in range(len(x))]
    )


# so little blur leaves differences of a thousandth of the score, of which float32 has fewer digits
@pytest.mark.parametrize(("word", "sigma", "most"), [("blurred", 5 / 20, 1e-3), ("blurred:1.5", 1.5, 1e-5)])
@pytest.mark.parametrize("method", every_day(BLURRED))
def test_each_example_has_its_own_blurred_baseline(
    method: str, word: str, sigma: float, most: float, tmp_path: Path
) -> None:
    x, options = CONV.x(), BLURRED[method]
    explainer = onnxray.Explainer(CONV.proto(), method, baseline=word, **options)
    truth = truth_of(method, x, sigma, options)
    assert distance(explainer(x, 2).values, truth) <= most
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(["attribution"], {"x": x, "target": np.full(len(x), 2)})
    assert distance(found, truth) <= most


def test_every_method_with_a_baseline_is_here() -> None:
    fields = {name: method.__dataclass_fields__ for name, method in onnxray.METHODS.items()}
    assert {name for name, known in fields.items() if "baseline" in known} == {*BLURRED, *EXAMPLES}


def test_the_gap_is_that_of_the_blurred_baseline() -> None:
    x = CONV.x()
    a = onnxray.explain(CONV.proto(), x, "integrated-gradients", target=1, steps=40, baseline="blurred:1.5")
    way = (CONV.scores(x) - CONV.scores(blurred(x, 1.5)))[:, 1]
    np.testing.assert_allclose(np.asarray(a.values).sum((1, 2, 3)) - a.delta, way, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("word", ["blurred:0", "blurred:much", "blurred:-1", "blurred:inf"])
def test_a_bad_width_is_one_line(word: str) -> None:
    with pytest.raises(InputError, match="give 'blurred', or 'blurred:10'"):
        onnxray.Explainer(CONV.proto(), "occlusion", baseline=word)


def test_a_vector_cannot_be_blurred() -> None:
    with pytest.raises(InputError, match=r"only a picture or series .* can be blurred, not \(6,\)"):
        onnxray.Explainer(DENSE.proto(), "integrated-gradients", baseline="blurred")


def test_another_word_or_method_is_refused_as_before() -> None:
    for method, word in (("occlusion", "blur"), ("expected-gradients", "blurred")):
        with pytest.raises(InputError, match=f"baseline '{word}' for input 'x': give a finite number"):
            onnxray.explain(CONV.proto(), CONV.x(), method, target=1, baseline=word)


@pytest.mark.usefixtures("elsewhere")
def test_at_the_command_line() -> None:
    call = ["explain", DIGITS, DIGIT, "-m", "integrated-gradients", "--steps", "3", "--baseline", "blurred:2"]
    assert run(call) == 0
