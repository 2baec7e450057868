"""Tensors that flow through sequences and optional values have the gradient of what they become."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import normal
from onnxray.diagnostics.inspection import inspect
from onnxray.errors import UnsupportedOperator
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load
from texts import check_text, parsed

X, W = {"x": normal(2, 6)}, {"x": normal(2, 6), "w": normal(2, 6, seed=1)}
AT = {**W, "i": np.array(1)}


def net(body: str, inputs: str = "real[2, 6] x", out: str = "real[M, N] y") -> str:
    names = {"minus": -1, "zero": 0, "one": 1, "two": 2}
    constants = " ".join(f"{name} = Constant <value = int64 {{{n}}}> ()" for name, n in names.items())
    return f"g ({inputs}) => ({out}) {{ {constants} {body} }}"


TWO = "real[2, 6] x, real[2, 6] w"
DIRECT = "s = SequenceConstruct (x, w)"
LOOPED = """
    n = Constant <value = int64 {3}> () go = Constant <value = bool {1}> () e = SequenceEmpty <dtype = KIND> ()
    s, z = Loop (n, go, e, x) <body = step (int64 k, bool on, seq(real[2, 6]) old, real[2, 6] a) =>
            (bool still, seq(real[2, 6]) new, real[2, 6] b) {
        still = Identity (on) b = Sin (a) c = Mul (b, x) new = SequenceInsert (old, c PLACE)
    }>
"""
GROWN = LOOPED.replace("PLACE", "")
CASES = {
    "concat": (net(f"{DIRECT} y = ConcatFromSequence <axis = 1> (s)", TWO), W),
    "stack": (net(f"{DIRECT} y = ConcatFromSequence <axis = -1, new_axis = 1> (s)", TWO, "real[A, B, C] y"), W),
    "at": (net(f"{DIRECT} a = SequenceAt (s, minus) y = Mul (a, x)", TWO), W),
    "at-computed": (net(f"{DIRECT} a = SequenceAt (s, i) y = Mul (a, x)", f"{TWO}, int64 i"), AT),
    "insert": (
        net(
            f"{DIRECT} a = Sin (x) t = SequenceInsert (s, a) b = Tanh (w) u = SequenceInsert (t, b, one) "
            "y = ConcatFromSequence <axis = 0> (u)",
            TWO,
        ),
        W,
    ),
    "insert-in-empty": (
        net("e = SequenceEmpty <dtype = KIND> () s = SequenceInsert (e, x) y = SequenceAt (s, zero)"),
        X,
    ),
    "erase": (
        net(
            f"{DIRECT} a = Sin (x) t = SequenceInsert (s, a) u = SequenceErase (t, zero) v = SequenceErase (u) "
            "q = Mul (x, x) r = SequenceInsert (v, q) y = ConcatFromSequence <axis = 0> (r)",
            TWO,
        ),
        W,
    ),
    "split-in-ones": (
        net(
            "s = SplitToSequence <axis = 1, keepdims = 0> (x) a = SequenceAt (s, one) b = SequenceAt (s, two) "
            "y = Mul (a, b)",
            out="real[M] y",
        ),
        X,
    ),
    "split-by-a-number": (
        net("n = Constant <value = int64 {4}> () s = SplitToSequence <axis = -1> (x, n) y = SequenceAt (s, one)"),
        X,
    ),
    "split-by-lengths": (
        net(
            "n = Constant <value = int64[3] {1, 3, 2}> () s = SplitToSequence <axis = 1> (x, n) "
            "t = SequenceErase (s, one) y = ConcatFromSequence <axis = 1> (t)"
        ),
        X,
    ),
    "split-of-unknown-length": (
        net(
            "s = SplitToSequence <axis = 1> (x) a = SequenceAt (s, i) b = SequenceAt (s, minus) y = Mul (a, b)",
            "real[M, N] x, int64 i",
        ),
        {**X, "i": np.array(3)},
    ),
    "split-of-unknown-length-joined": (
        net("s = SplitToSequence <axis = 1> (x) y = ConcatFromSequence <axis = 0> (s)", "real[M, N] x"),
        X,
    ),
    "map": (
        net(
            f"{DIRECT} m, n = SequenceMap <body = each (real[2, 6] a, real[2, 6] b) => (real[2, 6] c, real[2, 6] d) "
            "{ c = Mul (a, b) d = Sin (c) }> (s, w) p = ConcatFromSequence <axis = 0> (m) "
            "q = ConcatFromSequence <axis = 0> (n) y = Add (p, q)",
            TWO,
        ),
        W,
    ),
    "map-of-two": (
        net(
            f"{DIRECT} t = SequenceConstruct (w, w) m = SequenceMap <body = each (real[2, 6] a, real[2, 6] b) => "
            "(real[2, 6] c) { c = Mul (a, b) }> (s, t) y = ConcatFromSequence <axis = 0> (m)",
            TWO,
        ),
        W,
    ),
    "optional": (net("o = Optional (x) a = OptionalGetElement (o) y = Mul (a, x)"), X),
    "optional-sequence": (
        net(f"{DIRECT} o = Optional (s) t = OptionalGetElement (o) y = ConcatFromSequence <axis = 0> (t)", TWO),
        W,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    text, feeds = CASES[name]
    check_text(text, feeds)


LOOPS = {
    "grown-in-a-loop": (
        net(f"{GROWN} t = ConcatFromSequence <axis = 1> (s) u = ConcatFromSequence <axis = 1> (s) y = Mul (t, u)"),
        X,
    ),
    "grown-in-a-loop-stacked": (
        net(f"{GROWN} y = ConcatFromSequence <axis = -1, new_axis = 1> (s)", out="real[A, B, C] y"),
        X,
    ),
    "grown-in-a-loop-last": (net(f"{GROWN} l = SequenceAt (s, minus) y = Mul (l, z)"), X),
    "beside-a-loop": (net(f"{GROWN} y = Mul (z, z)"), X),
}


@pytest.mark.parametrize("name", LOOPS)
def test_lists_that_grow_in_loops(name: str) -> None:
    """On onnxruntime, in float32: the reference stacks what a Loop gives in another way."""
    text, feeds = LOOPS[name]
    model, step = parsed(text), 1e-2
    y = run_on_runtime(model, feeds)["y"]
    weights, direction = normal(*y.shape, seed=5), normal(2, 6, seed=9)
    graph = differentiate(model, "y", "x")
    results = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: weights})
    np.testing.assert_allclose(results["y"], y, rtol=1e-6)
    ends = [np.sum(weights * run_on_runtime(model, {"x": feeds["x"] + s * step * direction})["y"])
            for s in (1, -1, 0.5, -0.5)]  # fmt: skip
    numeric = (4 * (ends[2] - ends[3]) / step - (ends[0] - ends[1]) / (2 * step)) / 3
    assert np.sum(results[graph.gradients["x"]] * direction) == pytest.approx(numeric, rel=2e-3, abs=1e-3)


PUT_FIRST = LOOPED.replace("PLACE", ", zero")
REFUSED = {
    "a sequence out of a loop": (
        net(f"{PUT_FIRST} y = ConcatFromSequence <axis = 0> (s)"),
        r"how many tensors Loop '.*' puts in a sequence only the run will tell",
    ),
    "a sequence within a loop": (net(f"{PUT_FIRST} y = Mul (z, z)"), r"Loop .* hands a sequence from step to step"),
    "a sequence from outside": (
        net("t = SequenceInsert (s, x) y = ConcatFromSequence <axis = 0> (t)", "real[2, 6] x, seq(real[2, 6]) s"),
        r"ConcatFromSequence .*its sequence 's' comes from outside",
    ),
    "a computed place": (
        net(f"{DIRECT} t = SequenceErase (s, i) y = ConcatFromSequence <axis = 0> (t)", f"{TWO}, int64 i"),
        r"the position at which SequenceErase '.*' works only the run will tell",
    ),
    "unequal shapes": (
        net(
            "n = Constant <value = int64[2] {1, 5}> () s = SplitToSequence <axis = 1> (x, n) y = SequenceAt (s, i)",
            "real[2, 6] x, int64 i",
        ),
        r"SequenceAt .*a computed position needs tensors of one known shape",
    ),
    "an unknown length": (
        net("s = SplitToSequence (x, two) y = ConcatFromSequence <axis = 0> (s)", "real[M, N] x"),
        r"how many tensors SplitToSequence '.*' puts in a sequence only the run will tell",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_resolved_is_named(name: str) -> None:
    text, reason = REFUSED[name]
    with pytest.raises(UnsupportedOperator, match=reason):
        differentiate(parsed(text), "y", "x")
    report = inspect(load(parsed(text))).gradient
    assert (report.differentiable, report.reason) != (True, None)


def test_a_sequence_is_no_score() -> None:
    """It has no gradient of its own, and does not stand in the way of that of a tensor beside it."""
    model = parsed(
        net("s = SplitToSequence <axis = 1> (x) y = SequenceAt (s, one)", out="real[M, N] y, seq(real[A, B]) s")
    )
    graph = differentiate(model)
    assert list(graph.seeds) == ["y"]
    onnx.checker.check_model(graph.model)


def test_a_split_into_more_parts_than_nodes_can_be_is_refused_at_once() -> None:
    """A length of a billion, as damaged files declare, becomes no billion of nodes."""
    body = "s = SplitToSequence <axis = 1> (x) t = SequenceErase (s, one) y = ConcatFromSequence <axis = 0> (t)"
    model = parsed(net(body, "real[2, 1000000000] x"))
    with pytest.raises(UnsupportedOperator, match=r"how many tensors SplitToSequence '.*' puts in a sequence"):
        differentiate(model, "y", "x")
