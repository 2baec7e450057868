"""Quantisation straight through, against numpy: 1 where a number is in the type's range, 0 where it is clipped.

Central differences see only the steps of a rounding operator, so these rules are checked against their formula.
"""

import by_hand
import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from gradcheck import normal, reference
from onnxray.diagnostics.inspection import inspect
from onnxray.gradient_graph import GradientGraph, differentiate

_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}


def build(body: str, constants: str = "", opset: int = 21, x: str = "float[N, 3, 4] x") -> GradientGraph:
    """The gradient graph of y in every float that is an input."""
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]>
               case ({x}) => (float[a, b, c] y) <{constants}> {{ {body} }}"""
    return differentiate(onnx.parser.parse_model(text))


def gradients(graph: GradientGraph, dy: np.ndarray, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(list(graph.gradients.values()), {**feeds, graph.seeds["y"]: dy})
    return dict(zip(graph.gradients, map(np.asarray, found), strict=True))


def in_range(x: np.ndarray, scale: np.ndarray | float, zero: np.ndarray | int, kind: str) -> np.ndarray:
    low, high = (((end - np.asarray(zero, np.float64)) * scale).astype(np.float32) for end in _RANGES[kind])
    return (low <= x) & (x <= high)


def spread(kind: str, scale: float, zero: int) -> np.ndarray:
    """Numbers over twice the range of a type, with both ends in it, and those next to them that round to them."""
    low, high = ((end - zero) * scale for end in _RANGES[kind])
    ends = [low - 0.6 * scale, low - 0.4 * scale, low, high, high + 0.4 * scale, high + 0.6 * scale]
    inner = (low + high) / 2 + (high - low) * np.random.default_rng(3).uniform(-1, 1, 18)
    return np.array([*ends, *inner], np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(("kind", "zero"), [("int8", 0), ("int8", -20), ("uint8", 128), ("int16", 5), ("uint16", 300)])
def test_a_pair_passes_what_does_not_saturate(kind: str, zero: int) -> None:
    x, dy = spread(kind, 0.125, zero), normal(2, 3, 4).astype(np.float32)
    graph = build(
        "q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z)", f"float s = {{0.125}}, {kind} z = {{{zero}}}"
    )
    expected = np.where(in_range(x, 0.125, zero, kind), dy, 0)
    assert 0 < np.count_nonzero(expected) < expected.size
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [1, -1])
def test_scales_per_axis(axis: int) -> None:
    x, dy = 20 * normal(2, 3, 4).astype(np.float32), normal(2, 3, 4, seed=1).astype(np.float32)
    n = x.shape[axis]
    scale, zero = np.linspace(0.05, 0.2, n, dtype=np.float32), np.arange(-n, n, 2, dtype=np.int8)
    wide = [1, -1, 1] if axis == 1 else [-1]
    graph = build(
        f"q = QuantizeLinear <axis = {axis}> (x, s, z)  y = DequantizeLinear <axis = {axis}> (q, s, z)",
        f"float[{n}] s = {{{', '.join(map(str, scale))}}}, int8[{n}] z = {{{', '.join(map(str, zero))}}}",
    )
    expected = np.where(in_range(x, scale.reshape(wide), zero.reshape(wide), "int8"), dy, 0)
    assert 0 < np.count_nonzero(expected) < expected.size
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], expected, rtol=1e-6)


@pytest.mark.parametrize("size", ["4", "M"])
def test_scales_per_block(size: str) -> None:
    x, dy = 15 * normal(1, 3, 4).astype(np.float32), normal(1, 3, 4, seed=1).astype(np.float32)
    scale = np.linspace(0.05, 0.2, 6, dtype=np.float32).reshape(1, 3, 2)
    graph = build(
        "q = QuantizeLinear <axis = 2, block_size = 2, output_dtype = 3> (x, s)"
        "y = DequantizeLinear <axis = 2, block_size = 2> (q, s)",
        f"float[1, 3, 2] s = {{{', '.join(map(str, scale.ravel()))}}}",
        x=f"float[1, 3, {size}] x",
    )
    expected = np.where(in_range(x, scale.repeat(2, axis=2), 0, "int8"), dy, 0)
    assert 0 < np.count_nonzero(expected) < expected.size
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], expected, rtol=1e-6)


def test_uint8_is_the_default() -> None:
    x, dy = spread("uint8", 0.5, 0), normal(2, 3, 4).astype(np.float32)
    graph = build("q = QuantizeLinear (x, s)  y = DequantizeLinear (q, s)", "float s = {0.5}", opset=18)
    expected = np.where(in_range(x, 0.5, 0, "uint8"), dy, 0)
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], expected, rtol=1e-6)


def test_integers_may_be_moved_between() -> None:
    x, dy = spread("int8", 0.125, 0), normal(2, 4, 2).astype(np.float32)
    graph = build(
        """q = QuantizeLinear (x, s, z)  t = Transpose <perm = [0, 2, 1]> (q)  picked = Gather <axis = 2> (t, i)
           first = Slice (q, zero, one, one)  turned = Reshape (first, shape)  c = Concat <axis = 2> (picked, turned)
           y = DequantizeLinear (c, s, z)""",
        """float s = {0.125}, int8 z = {0}, int64[1] i = {2}, int64[1] zero = {0}, int64[1] one = {1},
           int64[3] shape = {0, 4, 1}""",
    )
    moved = np.zeros_like(x)
    moved[:, 2], moved[:, 0] = dy[:, :, 0], dy[:, :, 1]
    expected = np.where(in_range(x, 0.125, 0, "int8"), moved, 0)
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], expected, rtol=1e-6)


def test_a_change_of_scale_on_the_way_counts() -> None:
    x, dy = spread("int8", 0.125, 0), normal(2, 3, 4).astype(np.float32)
    graph = build(
        "q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, t, z)",
        "float s = {0.125}, float t = {0.5}, int8 z = {0}",
    )
    expected = np.where(in_range(x, 0.125, 0, "int8"), 4 * dy, 0)
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], expected, rtol=1e-6)


def test_the_scale_of_a_pair() -> None:
    """Esser et al., 2020, arXiv:1902.08153, equation 3: round(v) - v inside, with v = x / s, and the ends outside."""
    x, dy, scale = spread("int8", 0.125, 0), normal(2, 3, 4).astype(np.float32), np.array(0.125, np.float32)
    graph = build(
        "q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z)", "int8 z = {0}", x="float[N, 3, 4] x, float s"
    )
    v = x / scale
    slope = np.where(in_range(x, scale, 0, "int8"), np.round(v) - v, np.where(v < 0, -128, 127))
    np.testing.assert_allclose(gradients(graph, dy, x=x, s=scale)["s"], np.sum(dy * slope), rtol=1e-4)


def test_float8_saturates_at_its_largest_number() -> None:
    x = np.linspace(-1000, 1000, 24, dtype=np.float32).reshape(2, 3, 4)
    dy = normal(2, 3, 4).astype(np.float32)
    graph = build("q = QuantizeLinear <output_dtype = 17> (x, s)  y = DequantizeLinear (q, s)", "float s = {1.5}")
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], np.where(np.abs(x / 1.5) <= 448, dy, 0), rtol=1e-6)


def test_dynamic_quantisation_passes_everything() -> None:
    x, dy = normal(2, 3, 4).astype(np.float32), normal(2, 3, 4, seed=1).astype(np.float32)
    graph = build("q, s, z = DynamicQuantizeLinear (x)  y = DequantizeLinear (q, s, z)")
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], dy, rtol=1e-6)


def test_integer_products_of_dynamic_quantisation() -> None:
    """The scheme of onnxruntime's quantize_dynamic: integers multiplied, cast, and scaled back."""
    x, dy = normal(2, 3, 4).astype(np.float32), normal(2, 3, 2).astype(np.float32)
    graph = build(
        """q, s, z = DynamicQuantizeLinear (x)  product = MatMulInteger (q, w, z, wz)  p = Cast <to = 1> (product)
           scale = Mul (s, ws)  scaled = Mul (p, scale)  y = Add (scaled, bias)""",
        """int8[4, 2] w = {10, -80, 7, 3, 0, 2, -5, 40}, int8[2] wz = {1, -2}, float[2] ws = {0.5, 0.25},
           float bias = {1}""",
    )
    w = (np.array([[10, -80], [7, 3], [0, 2], [-5, 40]]) - [1, -2]) * [0.5, 0.25]
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], dy @ w.T, rtol=1e-5)


@pytest.mark.parametrize("zero", ["uint8 wz = {128}", "uint8[2] wz = {128, 120}"])
def test_integer_convolutions(zero: str) -> None:
    x, dy = normal(1, 1, 4).astype(np.float32), normal(1, 2, 3).astype(np.float32)
    graph = build(
        """q, s, z = DynamicQuantizeLinear (x)  q4 = Unsqueeze (q, last)  product = ConvInteger (q4, w, z, wz)
           p4 = Cast <to = 1> (product)  p = Squeeze (p4, last)  y = Mul (p, s)""",
        f"uint8[2, 1, 2, 1] w = {{130, 100, 128, 140}}, {zero}, int64[1] last = {{-1}}",
        x="float[1, 1, 4] x",
    )
    w = np.array([[130, 100], [128, 140]]) - (np.array([[128], [120]]) if "[2]" in zero else 128)
    expected = np.zeros(4)
    for place in range(3):
        expected[place : place + 2] += dy[0, :, place] @ w
    found = reference(graph, {"x": x}, {"y": dy})["x"]  # onnxruntime takes no zero point per channel here
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


def test_four_bit_weights_are_no_obstacle() -> None:
    x, dy = normal(2, 3, 4).astype(np.float32), normal(2, 3, 2).astype(np.float32)
    graph = build(
        "w4 = Cast <to = 22> (q)  w = DequantizeLinear (w4, s)  y = MatMul (x, w)",
        "int8[4, 2] q = {1, -8, 7, 3, 0, 2, -5, 4}, float s = {0.5}",
    )
    w = 0.5 * np.array([[1, -8], [7, 3], [0, 2], [-5, 4]])
    np.testing.assert_allclose(gradients(graph, dy, x=x)["x"], dy @ w.T, rtol=1e-5)


@pytest.mark.parametrize("tail", ["c = Add(p, r)", "t = Transpose<perm = [0, 1]>(p)  c = Add(r, t)"])
def test_bias_that_is_added_in_integers(tail: str) -> None:
    """As onnxruntime's quantiser of version 0.1 wrote it, before the Cast; the bias counts steps of both scales."""
    rng = np.random.default_rng(0)
    weights, scale, zero = rng.integers(0, 255, (4, 3)).astype(np.uint8), np.float32(0.02), np.uint8(120)
    text = f"""net (float[N, 4] x) => (float[N, 3] y) {{
        q, sx, zx = DynamicQuantizeLinear(x)
        p = MatMulInteger(q, W, zx, zw)
        s = Mul(sx, sw)
        b = Div(bias, s)
        d = Floor(b)
        r = Cast<to = 6>(d)
        {tail}
        f = Cast<to = 1>(c)
        y = Mul(f, s)
    }}"""
    bias = rng.normal(size=3).astype(np.float32)
    model = by_hand.model(text, {"W": weights, "zw": zero, "sw": scale, "bias": bias})
    x = rng.normal(size=(2, 4)).astype(np.float32)
    found = onnxray.explain(model, x, target=1)
    exact = (weights.astype(np.float32) - zero) * scale
    np.testing.assert_allclose(found.values, [exact[:, 1]] * 2, rtol=1e-5)
    np.testing.assert_allclose(found.score, (x @ exact + bias)[:, 1], atol=0.1)
    assert inspect(onnxray.load(model)).gradient.differentiable
