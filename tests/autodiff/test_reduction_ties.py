"""Reductions beside the table of cases: ties, zeros, axes known only at run time, forms onnxruntime does not run."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from by_hand import model
from gradcheck import Case, check_against_differences, evaluate, normal, positive, run
from onnxray.gradient_graph import differentiate

_REDUCTIONS = [
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"),
    *("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"),
]


def _gradient(
    op: str, x: object, axes: Sequence[int] | int | None = None, opset: int = 18, **attributes: int
) -> np.ndarray:
    """The gradient on onnxruntime, for a seed that counts 1, 2, 3, ... over the result."""
    inputs = [np.array(x, np.float64)] + ([] if axes is None else [np.array(axes, np.int64)])
    case = Case(op, inputs, attributes, constants=[1][: len(inputs) - 1], opset=opset)
    graph, feeds = case.gradient(np.float32, "all"), case.feeds(np.float32)
    shape = evaluate(case.model(np.float64), case.feeds(np.float64))["y0"].shape
    seed = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    return run(graph, feeds, {"y0": seed})["x0"]


@pytest.mark.parametrize(("op", "sign"), [("ReduceMax", 1), ("ReduceMin", -1)])
@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ([2], [[[1, 0], [0, 2]], [[3, 0], [4, 0]]]),
        ([1], [[[0, 0], [1, 2]], [[3, 4], [0, 0]]]),
        ([0], [[[0, 0], [0, 4]], [[1, 2], [3, 0]]]),
        ([1, 2], [[[0, 0], [0, 1]], [[2, 0], [0, 0]]]),
        ([0, 2], [[[0, 0], [0, 2]], [[1, 0], [0, 0]]]),
        ([2, 0], [[[0, 0], [0, 2]], [[1, 0], [0, 0]]]),
        ([1, 0], [[[0, 0], [0, 2]], [[1, 0], [0, 0]]]),
        (None, [[[0, 0], [0, 1]], [[0, 0], [0, 0]]]),
    ],
)
def test_the_first_of_equals_takes_the_gradient(op: str, sign: int, axes: list[int] | None, expected: object) -> None:
    x = sign * np.array([[[1, 1], [2, 3]], [[3, 3], [3, 3]]])
    for keepdims in (0, 1):
        np.testing.assert_array_equal(_gradient(op, x, axes, keepdims=keepdims), expected)


@pytest.mark.parametrize("axes", [[1], [-1]])
def test_a_product_with_zeros(axes: list[int]) -> None:
    x = [[2, 3, 4], [0, 3, 4], [0, 0, 4], [0, 0, 0]]
    expected = [[12, 8, 6], [2 * 12, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(_gradient("ReduceProd", x, axes), expected)


def test_a_running_product_with_zeros() -> None:
    x = [2, 0, 3, 0, 5]
    expected = [1 + 0, 2 * 2 + 3 * 6, 0, 0, 0]
    np.testing.assert_allclose(_gradient("CumProd", x, 0, opset=26), expected)


def test_norms_are_flat_at_the_origin() -> None:
    np.testing.assert_allclose(_gradient("ReduceL2", [[0, 0], [3, 4]], [1]), [[0, 0], [1.2, 1.6]])
    np.testing.assert_array_equal(_gradient("ReduceL1", [[0, -2]], [1]), [[0, -1]])
    for p in (1, 2):
        np.testing.assert_array_equal(_gradient("LpNormalization", [[0, 0]], p=p), [[0, 0]])


@pytest.mark.parametrize("op", _REDUCTIONS)
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(("axes", "noop"), [([1], 0), ([-1, 0], 0), ([], 0), ([], 1)])
def test_axes_known_only_at_run_time(op: str, keepdims: int, axes: list[int], noop: int) -> None:
    """The result has no rank that could be known, so a flat copy of it is differentiated."""
    x, chosen = positive(2, 3, 4).astype(np.float32), np.array(axes, np.int64)
    computed = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["": 18]>
        reduced (float[a,b,c] x, int64[n] axes) => (float[d] z) <int64[1] flat = {{-1}}> {{
            y = {op} <keepdims = {keepdims}, noop_with_empty_axes = {noop}> (x, axes)
            z = Reshape (y, flat)
        }}""")
    known = onnx.ModelProto.FromString(computed.SerializeToString())
    known.graph.initializer.append(onnx.numpy_helper.from_array(chosen, "axes"))
    (z,) = evaluate(computed, {"x": x, "axes": chosen}).values()
    found = [
        run(differentiate(model, "z", "x"), feeds, {"z": np.arange(1, z.size + 1)})["x"]
        for model, feeds in ((known, {"x": x}), (computed, {"x": x, "axes": chosen}))
    ]
    assert np.abs(found[0]).sum() > 0
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


@pytest.mark.parametrize("size", [2, 4, 6])
def test_a_window_of_even_size(size: int) -> None:
    """onnxruntime takes odd sizes only."""
    check_against_differences(Case("LRN", [normal(2, 5, 3, 2)], {"size": size, "alpha": 0.7, "beta": 0.6}))


@pytest.mark.parametrize(
    "case",
    [
        *(
            Case("GroupNormalization", [normal(*shape), normal(2, seed=1), normal(2, seed=2)], {"num_groups": 2})
            for shape in ((2, 4, 3, 3), (2, 6, 5))
        ),
        Case("MeanVarianceNormalization", [normal(2, 3, 4, 4)]),
    ],
    ids=str,
)
def test_forms_that_the_checker_refuses(case: Case) -> None:
    """A scale per group, which is deprecated; default axes, on which onnx's own shape inference fails."""
    check_against_differences(case)
    found = run(case.gradient(np.float32, "all"), case.feeds(np.float32), case.cotangents)
    for name, expected in case.expected.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-4)


@pytest.mark.parametrize(
    "squares",
    [
        "a = Pow(x, two) s = ReduceSum<keepdims=0>(a, last)",
        "a = Mul(x, x) s = ReduceMean<keepdims=0>(a, last)",
        "s = ReduceSumSquare<keepdims=0>(x, last)",
        "u, v = Split<axis=1, num_outputs=2>(x) a = Mul(u, u) b = Mul(v, v) c = Add(a, b) s = Squeeze(c, last)",
    ],
)
def test_a_length_has_the_gradient_0_at_the_origin(squares: str) -> None:
    """As ReduceL2 has; the square root of any other zero is infinitely steep."""
    net = model(
        f"net (float[N, 2] x) => (float[N] y) {{ {squares} y = Sqrt(s) }}",
        {"two": np.float32(2), "last": np.array([1])},
    )
    if "Squeeze" in squares:
        net.graph.node[4].op_type, net.graph.node[4].output[0] = "Sqrt", "r"
        del net.graph.node[4].input[1:]
        net.graph.node[5].CopyFrom(onnx.helper.make_node("Squeeze", ["r", "last"], ["y"]))
    x = np.array([[0, 0], [3, -4]], np.float32)
    dx = run(differentiate(net, "y", "x"), {"x": x}, {"y": np.ones(2)})["x"]
    np.testing.assert_allclose(dx[0], 0)
    np.testing.assert_allclose(dx[1] / np.linalg.norm(dx[1]), [0.6, -0.8], rtol=1e-6)


def test_a_square_root_of_zero_is_infinitely_steep() -> None:
    net = model("net (float[N] x) => (float[N] y) { y = Sqrt(x) }", {})
    dx = run(differentiate(net, "y", "x"), {"x": np.float32([0, 4])}, {"y": np.ones(2)})["x"]
    np.testing.assert_allclose(dx, [np.inf, 0.25])
