"""A call runs the gradient graph and nothing else, once the sizes of the scores are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from onnxray.runtime import Session

# What torch makes of flatten(1): shape inference loses the axis that counts examples in the -1.
FLATTENED = """net (float[N, 2, 3] x) => (float[N, 4] y) { f = Reshape(x, rest)  y = MatMul(f, W) }"""
X = normal(3, 2, 3).astype(np.float32)
WEIGHTS = normal(6, 4)


def net() -> onnx.ModelProto:
    return model(FLATTENED, {"W": WEIGHTS, "rest": np.array([-1, 6])})


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str] | None]:
    """The outputs that each run of a session was asked for."""
    told: list[Sequence[str] | None] = []
    right = Session.run

    def run(self: Session, feeds: Any, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        told.append(outputs)
        return right(self, feeds, outputs)

    monkeypatch.setattr(Session, "run", run)
    return told


def test_the_model_as_it_is_runs_in_no_later_call(runs: list[Any]) -> None:
    explainer = onnxray.Explainer(net())
    explainer(X)
    runs.clear()
    found = explainer(X, target=2)
    assert len(runs) == 1
    np.testing.assert_allclose(found.values, np.broadcast_to(WEIGHTS[:, 2].reshape(2, 3), X.shape), rtol=1e-5)


def test_another_shape_of_input_is_looked_at_again(runs: list[Any]) -> None:
    explainer = onnxray.Explainer(net())
    for rows in (1, 2, 1, 3):
        assert explainer(X[:rows], target=1).values.shape == (rows, 2, 3)
    runs.clear()
    for rows in (1, 2, 3):
        explainer(X[:rows], target=1)
    assert len(runs) == 3
