"""Samplers compose, and a method may finish what the points add up to: both in a call and in a saved file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, DENSE, TOLERANCE, ByHand, model
from measures import distance
from onnxray.attribution import finish
from onnxray.methods.base import EmitContext, Emitted
from onnxray.methods.integrated_gradients import IntegratedGradients
from onnxray.methods.samplers import Noise, Sampler
from onnxray.methods.smoothgrad import SmoothGrad
from onnxray.runtime import open_session
from replicas import REPLICAS, integrated_gradients

SAMPLES = 3


@dataclass(frozen=True)
class SmoothPath(IntegratedGradients):
    """Integrated gradients of noisy copies: the noise first, then the path to each copy."""

    name: ClassVar[str] = "smooth-path"

    def samplers(self) -> Sequence[Sampler]:
        return (Noise(SAMPLES, 0.2, 1), *super().samplers())

    def emit(self, context: EmitContext) -> Emitted:
        gradients, activations = context.gradients()
        return Emitted({name: context.g.Identity(dx) for name, dx in gradients.items()}, activations)


@dataclass(frozen=True)
class VarGrad(SmoothGrad):
    """The variance of the gradient over noisy copies (Adebayo et al., 2018, arXiv:1810.03292)."""

    name: ClassVar[str] = "vargrad"

    def emit(self, context: EmitContext) -> Emitted:
        g, (gradients, activations) = context.g, context.gradients()
        squares = {f"{name}/square": g.Mul(dx, dx) for name, dx in gradients.items()}
        return Emitted({**gradients, **squares}, activations)

    def finish(self, g: Any, totals: Mapping[str, ir.Value], explained: Mapping[str, Any]) -> Mapping[str, ir.Value]:
        return {name: g.Sub(totals[f"{name}/square"], g.Mul(totals[name], totals[name])) for name in explained}


def draws(by_hand: ByHand, x: np.ndarray, samples: int, noise: float, seed: int) -> np.ndarray:
    axes = tuple(range(1, x.ndim))
    spread = noise * (x.max(axes, keepdims=True) - x.min(axes, keepdims=True))
    return x + spread * np.random.default_rng([seed, *b"x"]).standard_normal((samples, 1, *x.shape[1:]))


def saved(explainer: onnxray.Explainer, file: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(explainer.save(file), providers=["CPUExecutionProvider"])
    return session.run(["attribution"], {"x": x, "target": np.full(len(x), 2)})[0]


@pytest.mark.parametrize("by_hand", [DENSE, CONV], ids=["dense", "convolutional"])
def test_two_samplers_look_at_the_product_of_their_points(by_hand: ByHand, tmp_path: Path) -> None:
    x = by_hand.x()
    explainer = onnxray.Explainer(by_hand.proto(), SmoothPath(steps=4))
    copies = draws(by_hand, x, SAMPLES, 0.2, 1)
    truth = np.mean([integrated_gradients(by_hand, copy, 2, steps=4) / copy for copy in copies], 0)
    found = explainer(x, 2)
    assert distance(found.values, truth) <= TOLERANCE
    assert distance(saved(explainer, tmp_path / "e.onnx", x), truth) <= TOLERANCE


def test_points_that_count_nothing_are_left_out() -> None:
    (plan,) = onnxray.Explainer(DENSE.proto(), SmoothPath(steps=4)).plans
    # the input, then for each copy both ends, of which the gap is taken, and the four points between them
    assert {len(array) for array in plan.points.values()} == {1 + SAMPLES * (4 + 2)}
    assert plan.points["point/weight"].sum() == pytest.approx(1)


def test_the_points_are_drawn_once_for_all_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the graph, for whose calls they are the same, and with that of a file."""
    drawn, points = [], Noise.points
    monkeypatch.setattr(Noise, "points", lambda *given: drawn.append(1) or points(*given))
    explainer, x = onnxray.Explainer(DENSE.proto(), "smoothgrad", samples=SAMPLES), DENSE.x()
    np.testing.assert_array_equal(explainer(x, 2).values, explainer(x, 2).values)
    assert len(drawn) == 1
    assert distance(saved(explainer, tmp_path / "e.onnx", x), np.asarray(explainer(x, 2).values)) <= TOLERANCE
    assert len(drawn) == 2


def test_the_last_step_is_opened_once_for_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any number of examples, with the graph that it belongs to."""
    opened, explainer = [], onnxray.Explainer(CONV.proto(), "feature-ablation", cells=2)
    monkeypatch.setattr(finish, "open_session", lambda *given, **how: opened.append(1) or open_session(*given, **how))
    for count in (1, 3, 2):
        x = CONV.x(count)
        found = explainer(x, 2).values
        assert distance(found, REPLICAS["feature-ablation"](CONV, x, 2, cells=2)) <= TOLERANCE
    assert len(opened) == 1


@pytest.mark.parametrize("by_hand", [DENSE, CONV], ids=["dense", "convolutional"])
@pytest.mark.parametrize("memory", ["1GB", 1], ids=["at once", "row by row"])
def test_a_variance_is_finished_by_nodes(by_hand: ByHand, memory: Any, tmp_path: Path) -> None:
    x = by_hand.x()
    explainer = onnxray.Explainer(by_hand.proto(), VarGrad(samples=5, noise=0.4), memory=memory)
    truth = np.var([by_hand.gradient(copy, 2) for copy in draws(by_hand, x, 5, 0.4, 0).astype(np.float32)], 0)
    assert np.linalg.norm(np.asarray(explainer(x, 2).values) - truth) <= 1e-4 * np.linalg.norm(truth)
    assert np.linalg.norm(saved(explainer, tmp_path / "e.onnx", x) - truth) <= 1e-4 * np.linalg.norm(truth)


def test_noise_has_the_range_of_an_example_in_every_batch() -> None:
    """An example of one number has no range of its own, so no noise, whatever stands beside it."""
    square = model("net (float[N] x) => (float[N] y) { y = Mul(x, x) }")
    x = np.array([1, 5], np.float32)
    whole = np.asarray(onnxray.explain(square, x, "smoothgrad", samples=3, target=0).values)
    np.testing.assert_allclose(whole, 2 * x)


def test_the_gap_of_completeness_is_in_the_file(tmp_path: Path) -> None:
    x = CONV.x()
    explainer = onnxray.Explainer(CONV.proto(), "integrated-gradients", steps=4, baseline=0.5)
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    (delta,) = session.run(["delta"], {"x": x, "target": np.array([0, 1, 2])})
    np.testing.assert_allclose(delta, explainer(x, [0, 1, 2]).delta, atol=1e-5)


def test_a_point_that_counts_nothing_adds_no_nan() -> None:
    """The baseline counts for delta alone; there the gradient of a square root is infinite, and times 0 NaN."""
    root = model("net (float[N, 2] x) => (float[N, 2] y) { y = Sqrt(x) }")
    x = np.array([[4.0, 9.0]], np.float32)
    found = onnxray.explain(root, x, "integrated-gradients", steps=200, target=1)
    assert found.delta is not None
    np.testing.assert_allclose(found.values, [[0, 3]], atol=0.01)
    np.testing.assert_allclose(found.delta, found.values.sum(1) - 3, atol=1e-6)
