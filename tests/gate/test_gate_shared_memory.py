"""The sessions of both models of a comparison share one memory budget."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest
from onnxray import models
from onnxray.explainer import Explainer
from onnxray.gate.explainers import SharedMemory, held_by
from onnxray.gate.model_under_test import ModelUnderTest, open_model_under_test

DIGITS = models.path("digits.onnx")
METHODS = ("saliency", "input-x-gradient", "integrated-gradients")
DATA = np.random.default_rng(0).random((2, 1, 28, 28)).astype(np.float32)


def sides() -> list[ModelUnderTest]:
    return [open_model_under_test(DIGITS, METHODS, threads=1) for _ in range(2)]


def test_a_method_that_needs_no_run_opens_no_session() -> None:
    assert list(sides()[0].explainers.opened) == ["saliency", "integrated-gradients"]


def test_every_explainer_gets_what_the_other_sessions_leave() -> None:
    both = sides()
    explainers = [one for side in both for one in side.explainers.opened.values()]
    held = [held_by(one) for one in explainers]
    assert min(held) > 0
    SharedMemory(10 * sum(held), both).divide()
    for one, own in zip(explainers, held, strict=True):
        assert one.memory == 10 * sum(held) - (sum(held) - own)
        (plan,) = one.plans
        assert plan.rows_within(one.memory) == max(1, 9 * sum(held) // plan.row_bytes)


def test_sessions_close_where_as_much_again_does_not_fit() -> None:
    both = sides()
    held = sum(side.held for side in both)
    SharedMemory(2 * held, both).make_room()
    assert all(side.explainers.opened for side in both)
    SharedMemory(2 * held - 1, both).make_room()
    assert not any(side.explainers.opened for side in both)
    assert isinstance(both[0].explainers["saliency"], Explainer)


def test_a_budget_that_the_sessions_exceed_is_told() -> None:
    with pytest.warns(UserWarning, match=r"the sessions of 4 explainers hold up to .* give \d+MB") as told:
        found = onnxray.compare(DIGITS, DIGITS, DATA, methods=METHODS, layers=False, threads=1, memory="10KB")
    assert len([one for one in told if "sessions" in str(one.message)]) == 1
    assert found.value("integrated-gradients", "cosine") == pytest.approx(1)
