"""A second forward pass in the same graph, from other values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxray
import pytest
from by_hand import CONV, DENSE, ByHand, model, normal
from measures import distance
from onnxray.autodiff.streams import Stream, add_stream
from onnxray.graph.builder import GraphBuilder
from onnxray.runtime import open_model


def both(proto: object, x: np.ndarray, other: np.ndarray, name: str = "y") -> tuple[np.ndarray, np.ndarray, Stream]:
    """A tensor of the model at x, and of a stream at another input, in one run."""
    program = onnxray.load(proto).copy()  # type: ignore[arg-type]
    g = GraphBuilder(program.graph, prefix="other")
    instead = g.input("other", ir.DataType.FLOAT, ["N", *other.shape[1:]])
    stream = add_stream(g, {program.value("x"): instead}, [program.value(name)])
    second = str(g.output(stream(program.value(name)), "second").name)
    found = open_model(program).run({"x": x, "other": other})
    return found["y"], found[second], stream


@pytest.mark.parametrize("by_hand", [DENSE, CONV], ids=["dense", "convolutional"])
def test_it_says_what_the_model_says_there(by_hand: ByHand) -> None:
    x, other = by_hand.x(), by_hand.x(seed=5)
    first, second, _ = both(by_hand.proto(), x, other)
    assert distance(first, by_hand.scores(x)) <= 1e-6
    assert distance(second, by_hand.scores(other)) <= 1e-6


def test_it_follows_shapes_and_branches() -> None:
    """A sum over a number of rows that the other input has, in a branch that the other input takes."""
    text = """net (float[N, 3] x) => (float[K, 3] y) {
        zero = Constant<value_float=0.0>()  total = ReduceSum<keepdims=0>(x)  some = Greater(total, zero)
        sizes = Shape(x)  wide = Expand(zero, sizes)
        y = If(some) <
            then_branch = up () => (float[K, 3] a) { a = Add(x, wide) },
            else_branch = down () => (float[K, 3] b) { b = Neg(x) }
        >
    }"""
    x, other = np.abs(normal(2, 3)), -np.abs(normal(4, 3, seed=1))
    first, second, _ = both(model(text), x, other)
    np.testing.assert_array_equal(first, x)
    np.testing.assert_array_equal(second, -other)


def test_what_does_not_change_is_shared() -> None:
    program = onnxray.load(DENSE.proto()).copy()
    g = GraphBuilder(program.graph, prefix="other")
    half = g.Mul(program.value("r"), 0.5)
    before = len(list(program.graph))
    stream = add_stream(g, {program.value("r"): half}, [program.value("y")])
    assert stream(program.value("h")) is program.value("h")
    assert stream(program.value("r")) is half
    assert len(list(program.graph)) - before == 2  # the second Gemm and the Identity behind it
