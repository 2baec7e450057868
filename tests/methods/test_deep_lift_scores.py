"""DeepLIFT compares the input with a baseline by one score: that which the input settles."""

from __future__ import annotations

import numpy as np
import onnxray
import pytest
from by_hand import model, normal
from detector_nets import NETS, SIDE
from onnxray.scores import Box, ClassBoxes, Contrast, Letter, Mask, Score, Token


@pytest.mark.parametrize(
    "target",
    [
        Token(0),
        Mask(np.ones((2, 2)), "top1"),
        Contrast((0, 0), (0, 1)),
        Letter(0, blank=2),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_baseline_is_asked_for_the_score_that_the_input_has(target: Score) -> None:
    """Where the baseline has another top word, the score is still that of the input's."""
    text = "net (float[N, 2, 2, 3] x) => (float[N, 2, 2, 3] y) { a = Mul(x, x)  y = Add(a, b) }"
    if not isinstance(target, Mask):
        text = text.replace("[N, 2, 2, 3]", "[N, 2, 3]")
    b = np.array([0, 3, 1], np.float32)  # the baseline's top is 1
    shape = (2, 2, 2, 3) if isinstance(target, Mask) else (2, 2, 3)
    x = np.broadcast_to(np.array([4, 0.5, 0.25], np.float32), shape)
    found = onnxray.explain(model(text, {"b": b}), x, "deep-lift", target=target)
    assert found.delta is not None
    assert np.abs(found.delta).max() <= 1e-4
    assert np.abs(found.values).max() > 1


def test_a_box_is_the_inputs_at_the_baseline() -> None:
    net, x = next(one for one in NETS if one.name == "yolox"), normal(1, 3, SIDE, SIDE)
    for target in (Box(1), ClassBoxes(1)):
        found = onnxray.explain(net.proto(), x, "deep-lift", target=target)
        assert found.delta is not None
        assert np.abs(found.delta).max() <= 1e-4
