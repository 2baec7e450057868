"""Loops that would run for hours or for ever are refused; sizes that shape inference would list for ever are open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model
from failing import fails
from onnxray import ModelError
from onnxray.loading.endless import MOST_STEPS
from workers import Worker

LOOP = """net (float[1, 2] x) => (float[1, 2] y) {
    true = Constant<value = bool {1}>()  false = Constant<value = bool {0}>()
    y = Loop<body = step (int64 i, bool go, float[1, 2] a) => (bool on, float[1, 2] b) { BODY }>(INPUTS, x) }"""
ON = "on = Identity(go)  b = Sin(a)"
INNER = """on = Identity(go)  b = Loop<body = inner (int64 j, bool go2, float[1, 2] c) => (bool on2, float[1, 2] d)
    { on2 = Identity(go2)  d = Sin(c) }>(n, true, a)"""


def loop(inputs: str, body: str = ON, **numbers: int) -> onnx.ModelProto:
    text = LOOP.replace("INPUTS", inputs).replace("BODY", body)
    return model(text, {name: np.array(number) for name, number in numbers.items()})


@pytest.mark.parametrize("trips", [MOST_STEPS + 1, 2**31 - 1, 2**40, 2**63 - 1])
@pytest.mark.parametrize("condition", ["true", ""])
def test_trip_count_that_nothing_else_ends(trips: int, condition: str) -> None:
    with fails(ModelError, "Loop", f"{float(trips):,.0f} times"):
        onnxray.load(loop(f"n, {condition}", n=trips))


@pytest.mark.parametrize("body", [ON, "on = Identity(true)  b = Sin(a)"])
def test_loop_without_a_trip_count(body: str) -> None:
    with fails(ModelError, "Loop", "without end"):
        onnxray.load(loop(", true", body))


def test_loops_within_each_other() -> None:
    """Each is short."""
    with fails(ModelError, "Loop", "100,010,000 times"):
        onnxray.load(loop("n, true", INNER, n=10_000))


STOPS: dict[str, tuple[onnx.ModelProto, Any]] = {
    "three steps": (loop("n, true", n=3), lambda x: np.sin(np.sin(np.sin(x)))),
    "no step": (loop("n, true", n=-(2**62)), lambda x: x),
    "false at first": (loop("n, false", n=2**62), lambda x: x),
    "false after a step": (loop("n, true", "on = Identity(false)  b = Sin(a)", n=2**62), np.sin),
    "computed": (
        loop("n, true", "b = Add(a, a)  s = ReduceMax<keepdims = 0>(b)  on = Less(s, k)", n=2**63 - 1, k=1000),
        lambda x: 512 * x,
    ),
}
next(w for w in STOPS["computed"][0].graph.initializer if w.name == "k").CopyFrom(
    onnx.numpy_helper.from_array(np.array(1000, np.float32), "k")
)


@pytest.mark.parametrize("case", STOPS)
def test_loop_that_stops(case: str) -> None:
    proto, formula = STOPS[case]
    x = np.array([[1, 2]], np.float32)
    found = onnxray.Explainer(proto, method="occlusion", score="output").with_outputs(x)[1]["y"]
    np.testing.assert_allclose(found, formula(x), rtol=1e-5)


@pytest.mark.parametrize("size", [2**23, 2**40, 2**63 - 1])
def test_declared_size_that_inference_would_list(worker: Worker, size: int) -> None:
    """The standard's inference lists the numbers of a vector that a Gather, a Slice or an Add reads."""
    assert worker(size) == ("explained", [[0.0, 0.0, 1.0]])


def gathered(size: int) -> tuple[str, Any]:
    proto = model(f"net (float[{size}] x) => (float[1] y) {{ y = Gather(x, i) }}", {"i": np.array([2])})
    loaded = onnxray.load(proto)
    assert list(loaded.inputs[0].shape or ()) != [size]
    return "explained", onnxray.explain(loaded, np.ones(3, np.float32), target=0).values.tolist()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(gathered, seconds=40) as one:
        yield one
