"""Operators that onnxruntime's optimiser fuses, each with its inputs, and a model of one of them."""

from __future__ import annotations

import numpy as np
import onnx
from gradcheck import normal

HEAD = '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>'
MS = "com.microsoft"
MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32)

B, S, N, H = 2, 4, 2, 16  # batch, length, heads and their width
D = N * H
X = normal(2, 3, 4)
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
