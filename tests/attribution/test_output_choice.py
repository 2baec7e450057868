"""Several outputs: an error where a later one holds the scores, a line where several may, nothing where one does."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from detector_nets import NETS, SIDE
from onnxray.diagnostics.inspection import inspect

X = normal(2, 3)


def net(first: str, second: str, states: str = "") -> onnx.ModelProto:
    held = "cache" if states else "zero"
    return model(
        f"net (float[N, 3] x{', float[N, 3] cache' if states else ''}) => (float[N, 3] a, float[N, 3] {states or 'b'})"
        f" {{ q = Mul(x, x) p = Add(q, {held}) a = {first}(p) {states or 'b'} = {second}(p) }}",
        {"zero": np.float32(0)},
    )


@pytest.mark.parametrize("call", [onnxray.explain, lambda *given, **how: onnxray.jacobian(given[0], given[1])])
def test_a_later_output_that_holds_the_scores_must_be_named(call) -> None:
    with pytest.raises(
        onnxray.InputError,
        match=r"outputs 'a' \(N, 3\), 'b' \(N, 3\): .* but 'b' does; name .* score=: 'b', or 'p' for its",
    ):
        call(net("Identity", "Softmax"), X, target=1)


def test_a_named_output_is_explained() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = onnxray.explain(net("Neg", "Softmax"), X, target=1, score="a")
    np.testing.assert_allclose(found.values, -2 * X * [0, 1, 0])


@pytest.mark.parametrize(("first", "second"), [("Identity", "Neg"), ("Softmax", "Sigmoid")])
def test_one_of_several_is_said_once(first: str, second: str) -> None:
    explainer = onnxray.Explainer(net(first, second))
    with pytest.warns(UserWarning, match=r"outputs 'a' \(N, 3\), 'b' \(N, 3\): the first is explained") as told:
        found = explainer(X, 1)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explainer(X, 2)
    np.testing.assert_allclose(found.values, 2 * X * [0, 1, 0])


@pytest.mark.parametrize("proto", [net("Softmax", "Neg"), net("Neg", "Sigmoid", "cache_out")], ids=["scores", "state"])
def test_nothing_is_said_where_the_first_holds_the_scores(proto: onnx.ModelProto) -> None:
    """A Softmax before other numbers; the new value of a state."""
    given = X if len(proto.graph.input) == 1 else {"x": X, "cache": X}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        onnxray.explain(proto, given, target=1)


def test_boxes_of_a_detector_are_no_question() -> None:
    """Corners first, classes later: a box reads both."""
    boxes = next(net for net in NETS if net.name == "ssd")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = onnxray.explain(boxes.proto(), normal(1, 3, SIDE, SIDE), target=onnxray.scores.Box(0))
    assert found.values.any()


def test_inspect_says_which_output_to_name() -> None:
    assert "name the one to explain by score=: 'b'" in inspect(onnxray.load(net("Identity", "Softmax"))).score.target
