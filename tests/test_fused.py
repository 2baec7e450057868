"""What onnxruntime's optimiser fuses gives the same numbers when it is spelled out, and has a gradient."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import distinct, normal
from onnxray.errors import UnsupportedOperator
from onnxray.gradient import differentiate
from onnxray.model import load
from onnxray.passes.expand import expand_functions
from onnxray.passes.quantised import QUANTISED
from onnxray.passes.spells import SPELLS
from scipy import special

HEAD = '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>'
MS = "com.microsoft"
MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32)

B, S, N, H = 2, 4, 2, 16  # batch, length, heads and their width
D = N * H
QKV = {"x": normal(B, S, D), "k": normal(B, S, D, seed=1), "v": normal(B, S, D, seed=2)}
PAST = {"p": normal(2, B, N, 3, H, seed=6)}
PROJECTED = {"x": normal(B, S, 6), "w": normal(6, 3 * D), "b": normal(3 * D)}
ANGLES = normal(10, H // 2, seed=7)
TURN = {"c": np.cos(ANGLES), "s": np.sin(ANGLES)}
KEYS = {"k": normal(B, S, H, seed=1), "v": normal(B, S, H, seed=2)}
LENGTHS = {"l": np.full(B, S - 1, np.int32), "t": np.array(S, np.int32)}
CACHE = {"e": normal(B, 1, 3, H, seed=8), "f": normal(B, 1, 3, H, seed=9)}
LATER = {"l": np.array([3, 2], np.int32), "t": np.array(4, np.int32)}
TABLES = {"x": normal(9, 4), "p": normal(6, 4, seed=1), "s": normal(2, 4, seed=2), "g": normal(4), "b": normal(4)}
WORDS = {"i": np.array([[1, 5, 2], [8, 8, 0]], np.int32), "j": np.array([[0, 1, 1], [0, 0, 1]], np.int32)}


def attention(inputs: str, feeds: dict[str, np.ndarray], **attributes: float) -> tuple[str, dict[str, np.ndarray]]:
    given = "".join(f", {name} = {value}" for name, value in attributes.items())
    return f"Attention <num_heads = {N}{given}> ({inputs})", {**PROJECTED, **feeds}


def heads(inputs: str, feeds: dict[str, np.ndarray], **attributes: float) -> tuple[str, dict[str, np.ndarray]]:
    given = "".join(f", {name} = {value}" for name, value in attributes.items())
    return f"MultiHeadAttention <num_heads = {N}{given}> ({inputs})", {**QKV, **feeds}


def groups(inputs: str, feeds: dict[str, np.ndarray], **attributes: float) -> tuple[str, dict[str, np.ndarray]]:
    given = "".join(f", {name} = {value}" for name, value in attributes.items())
    call = f"GroupQueryAttention <num_heads = {N}, kv_num_heads = 1{given}> ({inputs})"
    return call, {"x": QKV["x"], **KEYS, **feeds}


# The node, then its inputs; x is differentiated.
CASES = {
    "Gelu": ("Gelu (x)", {"x": normal(2, 3)}),
    "BiasGelu": ("BiasGelu (x, b)", {"x": normal(2, 3), "b": normal(3)}),
    "FastGelu": ("FastGelu (x, b)", {"x": normal(2, 3), "b": normal(3)}),
    "QuickGelu": ("QuickGelu <alpha = 1.5> (x)", {"x": normal(2, 3)}),
    "FusedMatMul": ("FusedMatMul <alpha = 0.5, transB = 1> (x, b)", {"x": normal(2, 3, 4), "b": normal(2, 5, 4)}),
    "FusedGemm": (
        'FusedGemm <alpha = 0.5, beta = 2.0, transA = 1, activation = "LeakyRelu", activation_alpha = 0.2> (x, b, c)',
        {"x": normal(4, 3), "b": normal(4, 5), "c": normal(5)},
    ),
    "FusedConv": (
        'FusedConv <pads = [1, 1, 1, 1], activation = "Clip", activation_params = [0.0, 6.0]> (x, b, c)',
        {"x": normal(1, 2, 5, 5), "b": normal(3, 2, 3, 3), "c": normal(3)},
    ),
    "FusedConv-sum": (
        'FusedConv <activation = "Relu"> (x, b, c, d)',
        {"x": normal(1, 2, 5, 5), "b": normal(3, 2, 3, 3), "c": normal(3), "d": normal(1, 3, 3, 3)},
    ),
    "SkipLayerNormalization": (
        "SkipLayerNormalization <epsilon = 0.001> (x, s, g, b, c)",
        {"x": normal(2, 3, 4), "s": normal(2, 3, 4, seed=1),
         **{name: normal(4, seed=k) for k, name in enumerate("gbc")}},
    ),
    "SkipSimplifiedLayerNormalization": (
        "SkipSimplifiedLayerNormalization <epsilon = 0.001> (x, s, g)",
        {"x": normal(2, 3, 4), "s": normal(2, 3, 4, seed=1), "g": normal(4)},
    ),
    "MultiHeadAttention": (
        "MultiHeadAttention <num_heads = 2> (x, k, v, b, m)",
        {"x": normal(2, 3, 4), "k": normal(2, 4, 4), "v": normal(2, 4, 6), "b": normal(14), "m": MASK},
    ),
    "Attention": (
        "Attention <num_heads = 2> (x, w, b, m)",
        {"x": normal(2, 4, 4), "w": normal(4, 12), "b": normal(12), "m": MASK},
    ),
    "FusedMatMul-batch": (
        "FusedMatMul <transBatchA = 1, transA = 1, transBatchB = 1> (x, b)",
        {"x": normal(4, 2, 3), "b": normal(4, 2, 5)},
    ),
    "TransposeMatMul": ("TransposeMatMul <transA = 1> (x, b)", {"x": normal(4, 3), "b": normal(4, 5)}),
    "ScaledSiLU": ("ScaledSiLU <alpha = 1.7> (x)", {"x": normal(2, 3)}),
    "GatedAdd": ("GatedAdd (a, x, g)", {"x": normal(2, 3, 4), "a": normal(2, 3, 4, seed=1), "g": normal(2, 3, 1)}),
    "GatedRMSNorm": (
        "GatedRMSNorm <epsilon = 0.001> (x, s, g)",
        {"x": normal(2, 8), "s": normal(4), "g": normal(2, 8, seed=1)},
    ),
    "GatedRMSNorm-sigmoid": (
        'GatedRMSNorm <activation = "sigmoid"> (x, s, g)',
        {"x": normal(2, 8), "s": normal(8), "g": normal(2, 8, seed=1)},
    ),
    "ExpandDims": ("ExpandDims (x, a)", {"x": normal(2, 3), "a": np.array(-1, np.int32)}),
    "Trilu": ("Trilu <upper = 0> (x)", {"x": normal(2, 4, 3)}),
    "GatherND": ("GatherND (x, i)", {"x": normal(2, 4, 3), "i": np.array([[0, 1], [1, 2], [0, 1]])}),
    "Pad": ("Pad (x, p)", {"x": normal(2, 3), "p": np.array([0, 1, 2, 0])}),
    "GridSample": (
        'GridSample <padding_mode = "border"> (x, g)',
        {"x": normal(1, 2, 4, 5), "g": 0.5 * normal(1, 3, 2, 2)},
    ),
    "CDist": ("CDist (x, b)", {"x": normal(3, 4), "b": normal(5, 4, seed=1)}),
    "CDist-euclidean": ('CDist <metric = "euclidean"> (x, b)', {"x": normal(3, 4), "b": normal(5, 4, seed=1)}),
    "SkipLayerNormalization-default": (
        "SkipLayerNormalization (x, s, g)",
        {"x": 1e-3 * normal(2, 3, 4), "s": 1e-3 * normal(2, 3, 4, seed=1), "g": normal(4)},
    ),
    "SkipSimplifiedLayerNormalization-default": (
        "SkipSimplifiedLayerNormalization (x, s, g, b)",
        {"x": 1e-3 * normal(2, 3, 4), "s": 1e-3 * normal(2, 3, 4, seed=1), "g": normal(4), "b": 1e-3 * normal(4)},
    ),
    "EmbedLayerNormalization": ("EmbedLayerNormalization (i, j, x, p, s, g, b)", {**TABLES, **WORDS}),
    "EmbedLayerNormalization-places": (
        "EmbedLayerNormalization <epsilon = 0.01> (i, , x, p, , g, b, , q)",
        {**{k: v for k, v in TABLES.items() if k != "s"}, "i": WORDS["i"], "q": np.array([[3, 1, 0]], np.int32)},
    ),
    "Attention-causal": attention("x, w, b", {}, unidirectional=1, scale=0.7),
    "Attention-lengths": attention("x, w, b, m", {"m": np.array([4, 2], np.int32)}),
    "Attention-ends": attention("x, w, b, m", {"m": np.array([4, 3, 1, 0], np.int32)}),
    "Attention-queries": attention("x, w, b, m", {"m": (normal(B, S, S) > -1).astype(np.int32)}),
    "Attention-past": attention("x, w, b, , p", PAST, unidirectional=1),
    "Attention-past-masked": attention("x, w, b, m, p", {**PAST, "m": (normal(B, S + 3) > -1).astype(np.int32)}),
    "Attention-added": attention("x, w, b, , , a", {"a": normal(1, N, S, S, seed=4)}, mask_filter_value=-50.0),
    "Attention-widths": (
        "Attention <num_heads = 2, qkv_hidden_sizes = [32, 32, 4]> (x, w, b)",
        {"x": normal(B, S, 6), "w": normal(6, 68), "b": normal(68)},
    ),
    "MultiHeadAttention-plain": heads("x, k, v", {}, scale=0.6),
    "MultiHeadAttention-causal": heads("x, k, v", {}, unidirectional=1),
    "MultiHeadAttention-queries": heads("x, k, v, , m", {"m": (normal(B, S, S) > -1).astype(np.int32)}),
    "MultiHeadAttention-added": heads("x, k, v, , , a", {"a": normal(B, 1, S, S, seed=4)}),
    "MultiHeadAttention-heads": heads("x, k, v", {n: normal(B, N, 5, H, seed=n == "k") for n in "kv"}),
    "MultiHeadAttention-past": heads(
        "x, k, v, b, , , p, q",
        {"b": normal(3 * D), "p": normal(B, N, 3, H, seed=6), "q": normal(B, N, 3, H, seed=8)},
    ),
    "GroupQueryAttention": groups("x, k, v, , , l, t", LENGTHS),
    "GroupQueryAttention-lengths": groups("x, k, v, , , l, t", {**LENGTHS, "l": np.array([3, 3], np.int32)}, scale=0.8),
    "GroupQueryAttention-window": groups("x, k, v, , , l, t", LENGTHS, local_window_size=2, softcap=1.5),
    "GroupQueryAttention-turned": groups("x, k, v, , , l, t, c, s", {**LENGTHS, **TURN}, do_rotary=1),
    "GroupQueryAttention-pairs": groups(
        "x, k, v, , , l, t, c, s", {**LENGTHS, **TURN}, do_rotary=1, rotary_interleaved=1
    ),
    "GroupQueryAttention-past": groups(
        "x, k, v, e, f, l, t, c, s",
        {"x": normal(B, 1, D), "k": normal(B, 1, H, seed=1), "v": normal(B, 1, H, seed=2), **CACHE, **LATER, **TURN},
        do_rotary=1,
    ),
    "GroupQueryAttention-packed": (
        "GroupQueryAttention <num_heads = 2, kv_num_heads = 1> (x, , , , , l, t)",
        {"x": normal(B, S, 4 * H), **LENGTHS},
    ),
    "RotaryEmbedding": (
        "RotaryEmbedding (x, i, c, s)",
        {"x": normal(B, S, D), "i": np.array([[0, 1, 2, 3], [5, 6, 7, 8]]), **TURN},
    ),
    "RotaryEmbedding-heads": (
        "RotaryEmbedding <interleaved = 1> (x, i, c, s)",
        {"x": normal(B, N, S, H), "i": np.array([3]), **TURN},
    ),
}  # fmt: skip
RANKS = {"ExpandDims": 3, "GatherND": 2, "EmbedLayerNormalization": 3, "EmbedLayerNormalization-places": 3}
WITH_PRESENT = ("GroupQueryAttention", "MultiHeadAttention <num_heads = 2> (x, k, v, b, , , p, q)")
WITH_REST = (
    "EmbedLayerNormalization",
    "Attention <num_heads = 2, unidirectional = 1> (x, w, b, , p",
    "Attention <num_heads = 2> (x, w, b, m, p",
)


def net(body: str, feeds: dict[str, np.ndarray], rank: int | None = None) -> onnx.ModelProto:
    kinds = {"float64": "float"}
    inputs = ", ".join(
        f"{kinds.get(a.dtype.name, a.dtype.name)}[{', '.join(map(str, a.shape))}] {n}".replace("[]", "")
        for n, a in feeds.items()
    )
    free = ", ".join(f"d{k}" for k in range(rank or feeds["x"].ndim))
    made = "y, present, more" if body.startswith(WITH_PRESENT) else "y, rest" if body.startswith(WITH_REST) else "y"
    return onnx.parser.parse_model(f"{HEAD} net ({inputs}) => (float[{free}] y) {{ {made} = {MS}.{body} }}")


@pytest.mark.parametrize("name", CASES)
def test_before_and_after(name: str) -> None:
    body, feeds = CASES[name]
    model = net(body, feeds, RANKS.get(name))
    program = load(model).copy()
    expand_functions(program, ["y"], ["x"])
    assert {node.domain for node in program.graph} == {""}
    before, after = (run_on_runtime(m, feeds)["y"] for m in (model, program.proto()))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_against_differences(name: str) -> None:
    body, feeds = CASES[name]
    model, step = net(body, feeds, RANKS.get(name)), 1e-2 * min(1.0, float(np.abs(feeds["x"]).max()))
    weights, direction = normal(*run_on_runtime(model, feeds)["y"].shape, seed=5), normal(*feeds["x"].shape, seed=9)
    graph = differentiate(model, "y", "x")
    found = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: weights})[graph.gradients["x"]]
    ends = [np.sum(weights * run_on_runtime(model, {**feeds, "x": feeds["x"] + s * step * direction})["y"])
            for s in (1, -1, 0.5, -0.5)]  # fmt: skip
    numeric = (4 * (ends[2] - ends[3]) / step - (ends[0] - ends[1]) / (2 * step)) / 3
    scale = float(np.linalg.norm(found) * np.linalg.norm(direction))
    assert np.sum(found * direction) == pytest.approx(numeric, abs=(2e-2 if "Conv" in name else 2e-3) * scale)


# Operators for which onnxruntime has no kernel on the CPU, against what their documentation says.


def gelu(x: np.ndarray) -> np.ndarray:
    return x * special.ndtr(x)


def fast_gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x: np.ndarray) -> np.ndarray:
    return special.softmax(x, axis=-1)


def grouped(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, groups: int, epsilon: float) -> np.ndarray:
    """Channels last."""
    rows = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    unit = (rows - rows.mean((1, 3), keepdims=True)) / np.sqrt(rows.var((1, 3), keepdims=True) + epsilon)
    return unit.reshape(x.shape) * scale + shift


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray, kept: np.ndarray | bool = True) -> np.ndarray:
    """(batch, length, heads, width) each."""
    scores = np.einsum("bqnh,bknh->bnqk", q, k) / np.sqrt(q.shape[-1]) + np.where(kept, 0, -1e4)
    return np.einsum("bnqk,bknh->bqnh", softmax(scores), v).reshape(*q.shape[:2], -1)


X, PACKED = normal(2, 3, 4), normal(2, 3, 2, 3, 4)
IMAGE = {"x": normal(2, 3, 5, 4), "g": normal(4), "b": normal(4, seed=1)}
SQUARE = np.tril(np.ones((B, 1, 6, 6), np.int32))
REPLICAS = {
    "GemmFastGelu": (
        "GemmFastGelu (x, w, b)",
        {"x": X, "w": normal(4, 5), "b": normal(5)},
        lambda x, w, b: fast_gelu(x @ w + b),
    ),
    "BiasSplitGelu": (
        "BiasSplitGelu (x, b)",
        {"x": X, "b": normal(4)},
        lambda x, b: (x + b)[..., :2] * gelu((x + b)[..., 2:]),
    ),
    "BiasAdd": ("BiasAdd (x, b, s)", {"x": X, "b": normal(4), "s": normal(2, 3, 4, seed=1)}, lambda x, b, s: x + b + s),
    "BiasDropout": ("BiasDropout (x, b, s)", {"x": X, "b": normal(4), "s": X + 1}, lambda x, b, s: x + b + s),
    "BiasSoftmax": (
        "BiasSoftmax <axis = 2, is_inner_broadcast = 0> (x, b)",
        {"x": X, "b": normal(3, 4, seed=1)},
        lambda x, b: softmax(x + b),
    ),
    "GroupNorm": (
        "GroupNorm <groups = 2, epsilon = 0.001, activation = 1> (x, g, b)",
        IMAGE,
        lambda x, g, b: (y := grouped(x, g, b, 2, 1e-3)) * special.expit(y),
    ),
    "SkipGroupNorm": (
        "SkipGroupNorm <groups = 2> (x, g, b, s, c)",
        {**IMAGE, "s": normal(2, 4), "c": normal(4, seed=2)},
        lambda x, g, b, s, c: grouped(x + s[:, None, None] + c, g, b, 2, 1e-5),
    ),
    "NhwcConv": (
        "NhwcConv (x, w, b)",
        {"x": normal(1, 4, 4, 2), "w": normal(3, 4, 4, 2), "b": normal(3)},
        lambda x, w, b: np.einsum("nhwc,mhwc->nm", x, w)[:, None, None] + b,
    ),
    "NhwcFusedConv": (
        'NhwcFusedConv <activation = "Sigmoid"> (x, w, b, z)',
        {"x": normal(1, 4, 4, 2), "w": normal(3, 2, 4, 4), "b": normal(3), "z": normal(1, 1, 1, 3)},
        lambda x, w, b, z: special.expit(np.einsum("nhwc,mchw->nm", x, w)[:, None, None] + b + z),
    ),
    "MultiHeadAttention-packed": (
        "MultiHeadAttention <num_heads = 2> (x)",
        {"x": PACKED},
        lambda x: attended(x[..., 0, :], x[..., 1, :], x[..., 2, :]),
    ),
    "MultiHeadAttention-packed-keys": (
        "MultiHeadAttention <num_heads = 2> (x, k)",
        {"x": normal(2, 3, 8), "k": normal(2, 5, 2, 2, 4)},
        lambda x, k: attended(x.reshape(2, 3, 2, 4), k[..., 0, :], k[..., 1, :]),
    ),
    "Attention-square": (
        "Attention <num_heads = 2> (x, w, b, m)",
        {**PROJECTED, "m": SQUARE},
        lambda x, w, b, m: attended(*np.split((x @ w + b).reshape(B, S, 3 * N, H), 3, axis=2), m[:, :, :S, :S] > 0),
    ),
}
REPLICA_RANKS = {"MultiHeadAttention-packed": 3}


@pytest.mark.parametrize("name", REPLICAS)
def test_against_what_is_documented(name: str) -> None:
    body, feeds, function = REPLICAS[name]
    graph = differentiate(net(body, feeds, REPLICA_RANKS.get(name)), "y", "x")
    weights, direction = normal(*function(**feeds).shape, seed=5), normal(*feeds["x"].shape, seed=9)
    results = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: weights})
    np.testing.assert_allclose(results["y"], function(**feeds), rtol=1e-4, atol=1e-5)
    ahead, behind = (np.sum(weights * function(**{**feeds, "x": feeds["x"] + s * 1e-6 * direction})) for s in (1, -1))
    assert np.sum(results[graph.gradients["x"]] * direction) == pytest.approx((ahead - behind) / 2e-6, rel=1e-3)


def test_a_quantised_pool_with_channels_last() -> None:
    """Its forward pass stays in integers; the gradient goes straight through to the largest."""
    text = f"""{HEAD} net (float[1, 6, 6, 2] x) => (float[1, h, w, 2] y) <float s = {{0.05}}, uint8 z = {{128}}> {{
        q = QuantizeLinear (x, s, z) p = {MS}.NhwcMaxPool <kernel_shape = [2, 2], strides = [2, 2]> (q)
        y = DequantizeLinear (p, s, z)
    }}"""
    model, feeds = onnx.parser.parse_model(text), {"x": distinct(1, 6, 6, 2)}
    graph, y = differentiate(model, "y", "x"), run_on_runtime(model, feeds)["y"]
    results = run_on_runtime(graph.model, {**feeds, "seed_y": np.ones(y.shape)})
    np.testing.assert_array_equal(results["y"], y)
    blocks = feeds["x"].reshape(1, 3, 2, 3, 2, 2)
    largest = (blocks == blocks.max((2, 4), keepdims=True)).reshape(1, 6, 6, 2)
    np.testing.assert_array_equal(results["grad_x"], largest)


def test_the_cache_stays_what_it_was() -> None:
    """onnxruntime may write it in place, so that its node is kept for the outputs that are read."""
    body, feeds = CASES["GroupQueryAttention-past"]
    model = net(body, feeds)
    model.graph.output.append(onnx.helper.make_tensor_value_info("present", onnx.TensorProto.FLOAT, [B, 1, None, H]))
    before = run_on_runtime(model, feeds)
    graph = differentiate(model, "y", "x")
    after = run_on_runtime(graph.model, {**feeds, "seed_y": np.ones(before["y"].shape)})
    for name in ("y", "present"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-5)


def test_shapes_are_learnt_on_the_way() -> None:
    """Files seldom say what shape lies between two operators that the standard does not have."""
    text = f"""{HEAD} net (float[2, 3, 8] x, float[8, 24] w, float[24] b, float[8, 8] v) => (float[2, 3, 8] y) {{
        a = {MS}.Attention <num_heads = 2> (x, w, b) c = MatMul (a, v) d = {MS}.FastGelu (c)
        e = {MS}.Attention <num_heads = 2> (d, w, b) f = Transpose <perm = [0, 2, 1]> (e)
        h = {MS}.FusedMatMul <transA = 1> (f, v) y = Softmax (h)
    }}"""
    model = onnx.parser.parse_model(text)
    feeds = {"x": normal(2, 3, 8), "w": normal(8, 24), "b": normal(24), "v": normal(8, 8)}
    graph = differentiate(model, "y", "x")
    results = run_on_runtime(graph.model, {**feeds, "seed_y": normal(2, 3, 8, seed=3)})
    np.testing.assert_allclose(results["y"], run_on_runtime(model, feeds)["y"], rtol=1e-4)
    assert np.abs(results["grad_x"]).max() > 0


REFUSED = {
    "BiasDropout (x, b, , , t)": ({"x": X, "b": X, "t": np.array(True)}, "may be training"),
    "BiasSoftmax <axis = 1> (x, b)": ({"x": X, "b": X}, "several axes"),
    "MultiHeadAttention <num_heads = 2> (x, x, x, , m)": ({"x": X, "m": np.zeros(8, np.int32)}, "a mask of 8 numbers"),
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_not_spelled_out_is_named(body: str) -> None:
    feeds, reason = REFUSED[body]
    with pytest.raises(UnsupportedOperator, match=rf"com\.microsoft::{body.split()[0]} .*{reason}"):
        differentiate(net(body, feeds), "y", "x")


def test_a_file_for_one_processor_says_so() -> None:
    text = (
        HEAD.replace(MS, "com.microsoft.nchwc")
        + """ net (float[1, 8, 4, 4] x, float[8, 8, 1, 1] w)
        => (float[1, 8, 4, 4] y) { y = com.microsoft.nchwc.Conv (x, w) }"""
    )
    with pytest.raises(UnsupportedOperator, match="ORT_ENABLE_EXTENDED"):
        differentiate(onnx.parser.parse_model(text), "y", "x")


def test_every_spelling_is_tried() -> None:
    tried = {name.partition("-")[0] for name in (*CASES, *REPLICAS)} | {"NhwcMaxPool"}
    elsewhere = {op for _, op in QUANTISED}  # test_qoperator.py, test_quantised_layers.py
    assert {op for domain, op in SPELLS if domain == MS} - elsewhere == tried
