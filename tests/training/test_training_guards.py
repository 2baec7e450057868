"""The rewrites and refusals that guard against the library's silent errors: without its guard each comes out wrong.

What the library does when it is asked past all of onnxray stands in test_training_raw.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from onnxray.errors import BuilderError
from onnxray.gradient_graph import differentiate
from onnxray.training import request
from training_tools import by, distance, fixed, gradient, model, numbers, with_weights

WRONG = 1e-2


@dataclass(frozen=True)
class Silent:
    """A model whose gradient the library gets wrong, and the rewrite that prevents it."""

    guard: str
    body: str
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    feeds: dict[str, np.ndarray] = field(default_factory=lambda: {"x": numbers(2, 3, 8, 8)})
    inputs: str = "float[2,3,8,8] x"
    output: str = "float[a,b,c,d] y"
    runtime: str = "onnxruntime"  # where it is wrong: the rules put some of it right when it is lowered

    def __str__(self) -> str:
        return self.guard

    def model(self) -> onnx.ModelProto:
        return with_weights(model(self.body, self.inputs, self.output), **self.weights)


SILENT = [
    Silent(
        "explicit_pads",
        '{ y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w) }',
        {"w": (4, 3, 3, 3)},
        runtime="training",
    ),
    Silent(
        "expand_branches",
        "{ c = Greater(b, s) y = Where(c, x, b) }",
        {"s": (2, 3, 8, 8), "b": (2, 3, 8, 8)},
        {"x": numbers(8)},
        "float[8] x",
        runtime="training",
    ),
    Silent("cut_splits", "{ y, z = Split<axis=1, num_outputs=2>(x) }"),
]


@pytest.mark.parametrize("runtime", ["onnxruntime", "training"])
@pytest.mark.parametrize("case", SILENT, ids=str)
def test_it_is_right_with_its_guard(case: Silent, runtime: str) -> None:
    found = by("ort-training", case.model(), case.feeds, runtime=runtime)
    assert distance(found, by("portable", case.model(), case.feeds)) <= 1e-5


def unguarded(case: Silent, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The gradient without the case's rewrite."""
    without = tuple(rewrite for rewrite in request.REWRITES if rewrite.__name__ != case.guard)
    assert len(without) == len(request.REWRITES) - 1
    monkeypatch.setattr(request, "REWRITES", without)
    monkeypatch.setattr(request, "refuse", lambda program, path: None)
    return by("ort-training", case.model(), case.feeds, runtime=case.runtime)


@pytest.mark.parametrize("case", SILENT, ids=str)
def test_it_is_wrong_without_its_guard(case: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a later release were right, the guard could go."""
    truth = by("portable", case.model(), case.feeds)
    assert distance(unguarded(case, monkeypatch), truth) > WRONG


# What no rewrite puts right is refused -----------------------------------------------------------------------

REFUSED = {
    "ScatterElements": '{ y = ScatterElements<reduction="add", axis=0>(x, i, x) }',
    "ScatterND": '{ y = ScatterND<reduction="add">(x, i, x) }',
    "LayerNormalization": "{ a, m, d = LayerNormalization(x, s) y = Add(a, m) }",
    "Split": "{ y, z = Split<axis=1>(x, n) }",
    "If": "{ y = If<then_branch = t () => (float[2,3,8,8] u) { u = Relu(x) }, "
    "else_branch = e () => (float[2,3,8,8] v) { v = Neg(x) }>(c) }",
}


def refused(op: str) -> onnx.ModelProto:
    extra = {
        "ScatterElements": ", int64[2,3,8,8] i",
        "ScatterND": ", int64[2,1] i",
        "Split": ", int64[2] n",
        "If": ", bool c",
    }.get(op, "")
    return with_weights(model(REFUSED[op], f"float[2,3,8,8] x{extra}", "float[a,b,c2,d] y"), s=(8,))


@pytest.mark.parametrize("op", REFUSED)
def test_it_is_refused_by_name(op: str) -> None:
    with pytest.raises(BuilderError, match=rf"operator {op} \(node '{op}_0'\).*builder='portable'"):
        differentiate(refused(op), ["y"], ["x"], builder="ort-training")


@pytest.mark.parametrize("op", ["ScatterElements", "ScatterND", "LayerNormalization"])
def test_unrefused_it_would_be_wrong(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"ScatterElements": (2, 3, 8, 8), "ScatterND": (2, 1)}
    feeds = {"x": numbers(2, 3, 8, 8)} | ({"i": np.ones(places[op], np.int64)} if op in places else {})
    truth = by("portable", refused(op), feeds)
    monkeypatch.setattr(request, "refuse", lambda program, path: None)
    assert distance(by("ort-training", refused(op), feeds), truth) > WRONG


# Kernels that are wrong are refused raw, and right when they are lowered ------------------------------------------

RAW = {
    "open batch": ("{ y = AveragePool<kernel_shape=[2,2]>(x) }", "float[N,3,8,8] x"),
    "open size": ("{ y = MaxPool<kernel_shape=[2,2]>(x) }", "float[2,3,H,W] x"),
    "dilations": ("{ y = AveragePool<kernel_shape=[2,2], dilations=[2,2]>(x) }", "float[2,3,8,8] x"),
    "counted pads": (
        "{ y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1, count_include_pad=1>(x) }",
        "float[2,3,8,8] x",
    ),
    "tanh": ('{ y = Gelu<approximate="tanh">(x) }', "float[2,3,8,8] x"),
    "no axes": ("{ y = ReduceL2<noop_with_empty_axes=1, keepdims=1>(x) }", "float[2,3,8,8] x"),
}


@pytest.mark.parametrize("case", RAW)
def test_wrong_kernels_are_refused(case: str) -> None:
    body, inputs = RAW[case]
    made = model(body, inputs, "float[a,b,c,d] y", opset=20)
    with pytest.raises(BuilderError, match=r"runtime='training' gets operator .* wrong: .*"):
        differentiate(made, builder="ort-training", runtime="training")
    feeds = {"x": numbers(2, 3, 8, 8)}
    assert distance(by("ort-training", made, feeds), by("portable", made, feeds)) <= 1e-5


@pytest.mark.parametrize("case", ["dilations", "counted pads", "tanh"])
def test_unrefused_kernels_would_be_wrong(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body, inputs = RAW[case]
    made, feeds = model(body, inputs, "float[a,b,c,d] y", opset=20), {"x": numbers(2, 3, 8, 8)}
    monkeypatch.setattr("onnxray.training.reverse_pass.refuse_raw", lambda path: None)
    assert distance(by("ort-training", made, feeds, runtime="training"), by("portable", made, feeds)) > 1e-5


def test_with_fixed_sizes_nothing_is_open() -> None:
    body, inputs = RAW["open batch"]
    made, feeds = model(body, inputs, "float[a,b,c,d] y"), {"x": numbers(2, 3, 8, 8)}
    found = by("ort-training", fixed(made, feeds), feeds, runtime="training")
    assert distance(found, by("portable", made, feeds)) <= 1e-5


# Types, inputs, seeds ----------------------------------------------------------------------------------------


def reads_twice(op: str) -> str:
    return {"Mul": "{ y = Mul(x, x) }", "Concat": "{ y = Concat<axis=1>(x, x) }", "MatMul": "{ y = MatMul(x, x) }"}[op]


@pytest.mark.parametrize("op", ["Mul", "Concat", "MatMul"])
def test_an_input_that_a_node_reads_twice(op: str) -> None:
    made, feeds = model(reads_twice(op), output="float[a,b,c,d] y"), {"x": numbers(2, 3, 8, 8)}
    assert distance(by("ort-training", made, feeds), by("portable", made, feeds)) <= 1e-6


@pytest.mark.parametrize(("kind", "dtype", "found_in"), [("double", "f8", "f8"), ("float16", "f2", "f4")])
def test_scores_of_other_types(kind: str, dtype: str, found_in: str) -> None:
    """The library's loss is a float32, whatever type the score has; a half is explained by its float32 shadow."""
    made = model("{ r = Relu(x) y = Mul(r, x) }", f"{kind}[2,9] x", f"{kind}[2,9] y")
    feeds = {"x": numbers(2, 9).astype(dtype)}
    found = by("ort-training", made, feeds)
    assert found.dtype == found_in
    assert distance(found, by("portable", made, feeds)) <= 1e-6


def test_intermediate_tensors_and_several_outputs() -> None:
    made = model("{ a = Relu(x) y = Mul(a, x) z = Sin(a) }", "float[2,9] x", "float[2,9] y")
    made.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, [2, 9]))
    graphs = [differentiate(made, ["y", "z"], ["a", "x"], builder=b) for b in ("portable", "ort-training")]
    assert graphs[0].seeds == graphs[1].seeds
    assert graphs[0].gradients == graphs[1].gradients
    cotangents = {name: numbers(2, 9, seed=k) for k, name in enumerate("yz")}
    ours, theirs = (gradient(graph, {"x": numbers(2, 9)}, cotangents) for graph in graphs)
    assert all(distance(theirs[name], ours[name]) <= 1e-6 for name in ("a", "x"))


@pytest.mark.parametrize(
    ("opset", "body"),
    [
        (22, "{ a = Elu(x) y = Relu(a) }"),
        (23, "{ y = RMSNormalization(x, s) }"),
        (24, "{ y = Swish(x) }"),
        (25, "{ a = Identity(x) y = Softmax(a) }"),
    ],
)
def test_models_past_opset_21_are_converted(opset: int, body: str) -> None:
    made = with_weights(model(body, "float[2,9] x", "float[2,9] y", opset), s=(9,))
    made.ir_version = 11
    feeds = {"x": numbers(2, 9)}
    graph = differentiate(made, builder="ort-training")
    assert graph.model.opset_import[0].version == opset
    assert distance(by("ort-training", made, feeds), by("portable", made, feeds)) <= 1e-5


def test_what_cannot_be_converted_is_refused() -> None:
    made = model("{ axis = Constant<value_int=0>() y = CumProd(x, axis) }", "float[3] x", "float[3] y", 26)
    with pytest.raises(BuilderError, match=r"CumProd .*opset 26.*builder='portable'"):
        differentiate(made, builder="ort-training")
