"""Quantus: its functions agree with ours on the same arrays, and its metrics run on ONNX models by the adapter."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest
from held_out import digits
from onnxray import models
from onnxray.gate.metrics.agreement import METRICS, strength
from onnxray.gate.metrics.inside_mask import mass_inside, points_inside
from onnxray.gate.metrics.quality import gini

quantus = pytest.importorskip("quantus", reason="the extra quantus is not installed")
RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(1, 20, 24)) for _ in range(2))
MASK = np.zeros((20, 24), bool)
MASK[5:15, 4:12] = True
QUIET = {"disable_warnings": True, "display_progressbar": False}


def test_similarities() -> None:
    from quantus.functions import similarity_func as theirs  # pyright: ignore[reportMissingImports]  an extra of its own

    assert METRICS["spearman"](A, B) == pytest.approx(theirs.correlation_spearman(A.ravel(), B.ravel()), abs=1e-6)
    assert METRICS["cosine"](A, B) == pytest.approx(1 - theirs.cosine(A.ravel(), B.ravel()), abs=1e-6)
    x, y = (strength(one) / strength(one).max() for one in (A, B))
    x[0, 0] = y[0, 0] = 0  # both on the range 0..1, which Quantus takes from the arrays
    assert METRICS["ssim"](x, y) == pytest.approx(theirs.ssim(x, y), abs=1e-6)
    distance = theirs.distance_euclidean(A.ravel(), B.ravel()) / np.linalg.norm(A)
    assert METRICS["relative-l2"](A, B) == pytest.approx(distance, abs=1e-6)


def test_sparseness_and_localisation() -> None:
    x, y, a, s = np.zeros((1, 1, 20, 24)), np.zeros(1, int), np.abs(A)[None], MASK[None, None]
    call = {"model": None, "x_batch": x, "y_batch": y, "a_batch": a.copy()}
    assert gini(a) == pytest.approx(quantus.Sparseness(normalise=False, **QUIET)(**call)[0], abs=1e-6)
    call["a_batch"] = a.copy()
    mass = quantus.RelevanceMassAccuracy(normalise=False, **QUIET)(**call, s_batch=s)[0]
    assert mass_inside(a[0], MASK) == pytest.approx(mass, abs=1e-6)
    call["a_batch"] = a.copy()
    assert points_inside(a[0], MASK) == bool(quantus.PointingGame(normalise=False, **QUIET)(**call, s_batch=s)[0])


def test_metrics_of_quantus_run_on_onnx() -> None:
    from onnxray.gate.quantus_adapter import explain_func, quantus_model

    x, y = digits().unseen[:3, None].astype(np.float32) / 255, digits().unseen_labels[:3]
    model = quantus_model(models.path("digits.onnx"))
    np.testing.assert_array_equal(model.predict(x).argmax(1), y)
    a = explain_func(model, x, y)
    np.testing.assert_array_equal(a, onnxray.explain(models.path("digits.onnx"), x, target=y).values)
    call = {"model": model, "x_batch": x, "y_batch": y, "a_batch": a, "explain_func": explain_func}
    found = quantus.MaxSensitivity(nr_samples=3, **QUIET)(**call)
    assert len(found) == 3
    assert np.isfinite(found).all()
    cascade = quantus.MPRT(layer_order="top_down", **QUIET)(**call)
    assert cascade
    assert {"conv1.weight", "fc.weight"} <= set(model.state_dict())
    assert model.get_hidden_representations(x, layer_names=["average"]).shape == (3, 32)
