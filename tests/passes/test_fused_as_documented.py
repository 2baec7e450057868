"""Fused operators for which onnxruntime has no kernel on the CPU, against what their documentation says."""

from __future__ import annotations

import numpy as np
import pytest
from differences import run_on_runtime
from fused import CASES, MS, PROJECTED, B, H, N, S, X, net
from gradcheck import normal
from onnxray.gradient_graph import differentiate
from onnxray.passes.decompositions import DECOMPOSITIONS
from onnxray.passes.quantised import QUANTISED
from scipy import special


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


PACKED = normal(2, 3, 2, 3, 4)
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


def test_every_spelling_is_tried() -> None:
    tried = {name.partition("-")[0] for name in (*CASES, *REPLICAS)} | {"NhwcMaxPool"}
    elsewhere = {op for _, op in QUANTISED}  # test_qoperator.py, test_quantised_layers.py
    assert {op for domain, op in DECOMPOSITIONS if domain == MS} - elsewhere == tried
