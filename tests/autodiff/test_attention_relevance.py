"""AttnLRP on a small transformer, by the propositions of its paper (Achtibat et al., 2024, arXiv:2402.05602).

tests/methods/test_peers_attention_relevance.py compares a ViT and a BERT with LXT.
"""

from __future__ import annotations

from math import erf
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import TOLERANCE, Array, model, normal
from measures import distance
from relevances import stable

SIZES = {"Q": (6, 6), "K": (6, 6), "V": (6, 6), "A": (6, 8), "a": (8,), "B": (8, 4), "g": (6,), "b": (6,)}
GIVEN = {name: normal(*shape, seed=k) / 2 for k, (name, shape) in enumerate(SIZES.items())}
WHOLE = "n = LayerNormalization(x, g, b)"
PARTS = """m = ReduceMean(x, last) d = Sub(x, m) d2 = Mul(d, d) v = ReduceMean(d2, last) ve = Add(v, tiny)
    s0 = Sqrt(ve) u = Div(d, s0) ug = Mul(u, g) n = Add(ug, b)"""
RMS = "n = RMSNormalization(x, g)"
SILU = "f1 = Sigmoid(f) r = Mul(f, f1)"
GATED = "f1 = Div(f, root) f2 = Erf(f1) f3 = Add(f2, one) f4 = Mul(f, f3) r = Mul(f4, half)"


def transformer(norm: str = WHOLE, gelu: str = "r = Gelu(f)") -> Any:
    more = {"last": np.array([2]), "tiny": np.float32(1e-5), "root": np.float32(2**0.5), "one": np.float32(1)}
    text = f"""net (float[N, 5, 6] x) => (float[N, 4] y) {{
        {norm}  q = MatMul(n, Q)  k = MatMul(n, K)  w = MatMul(n, V)  t = Transpose<perm=[0, 2, 1]>(k)
        p = MatMul(q, t)  s = Softmax(p)  o = MatMul(s, w)  z = Add(x, o)
        h = MatMul(z, A)  f = Add(h, a)  {gelu}  c = MatMul(r, B)  y = ReduceMean<keepdims=0>(c, middle)
    }}"""
    kept = {name: array for name, array in (more | {"half": np.float32(0.5)}).items() if name in f"{norm} {gelu}"}
    weights = {name: array for name, array in GIVEN.items() if name != "b" or norm != RMS}
    return model(text, weights | kept | {"middle": np.array([1])}, opset=23)


def linear(x: Array, y: Array, w: Array, r: Array) -> Array:
    """Of y = x w + b, the epsilon rule."""
    return x * ((r / stable(y)) @ np.swapaxes(w, -1, -2))


def product(a: Array, b: Array, r: Array) -> tuple[Array, Array]:
    """Proposition 3.3: of a b each factor gets half."""
    share = r / stable(2 * (a @ b))
    return a * (share @ np.swapaxes(b, -1, -2)), b * (np.swapaxes(a, -1, -2) @ share)


def relevance(x: Array, k: int, rms: bool) -> tuple[Array, Array]:
    """The relevance of x for class k, and its score."""
    w = {name: array.astype(np.float64) for name, array in GIVEN.items()}
    u = x if rms else x - x.mean(2, keepdims=True)
    normal_u = u / np.sqrt((u**2).mean(2, keepdims=True) + 1e-5)
    n = normal_u * w["g"] + (0 if rms else w["b"])
    q, t, v = n @ w["Q"], np.swapaxes(n @ w["K"], 1, 2), n @ w["V"]
    p = q @ t
    s = np.exp(p) / np.exp(p).sum(2, keepdims=True)
    z = x + s @ v
    f = z @ w["A"] + w["a"]
    r = f / (1 + np.exp(-f)) if rms else f * (1 + np.vectorize(erf)(f / 2**0.5)) / 2
    c = r @ w["B"]
    score = c.mean(1)[:, k]
    of_c = c * np.eye(4)[k] / 5
    of_z = linear(z, f, w["A"], linear(r, c, w["B"], of_c))  # Gelu hands all on
    of_n, of_x = attended(x, n, (q, t, v, p, s, z), of_z)
    if rms:
        return of_x + of_n, score
    share = normal_u * w["g"] * of_n / stable(n) / u  # proposition 3.4: the deviation is a constant
    return of_x + x * (share - share.mean(2, keepdims=True)), score


def attended(x: Array, n: Array, values: tuple[Array, ...], of_z: Array) -> tuple[Array, Array]:
    """The relevance of n, through attention, and of x, past it."""
    q, t, v, p, s, z = values
    w = {name: array.astype(np.float64) for name, array in GIVEN.items()}
    of_s, of_v = product(s, v, of_z * (s @ v) / stable(z))
    of_p = p * (of_s - s * of_s.sum(2, keepdims=True))  # proposition 3.1
    of_q, of_t = product(q, t, of_p)
    pairs = (("Q", q, of_q), ("K", np.swapaxes(t, 1, 2), np.swapaxes(of_t, 1, 2)), ("V", v, of_v))
    return np.sum([linear(n, y, w[name], r) for name, y, r in pairs], 0), of_z * x / stable(z)


@pytest.mark.parametrize(
    ("norm", "gelu"),
    [(WHOLE, "r = Gelu(f)"), (PARTS, GATED), (RMS, SILU)],
    ids=["fused", "in several nodes", "RMSNormalization and SiLU"],
)
def test_a_transformer(norm: str, gelu: str) -> None:
    x = normal(2, 5, 6, seed=9)
    found = onnxray.explain(transformer(norm, gelu), x, "lrp", composite="attnlrp", target=1)
    truth, score = relevance(x.astype(np.float64), 1, norm == RMS)
    np.testing.assert_allclose(found.score, score, rtol=1e-4)
    assert distance(found.values, truth) <= 5 * TOLERANCE  # the formulas have stabilisers that gradients need not
    np.testing.assert_allclose(found.delta, truth.sum((1, 2)) - score, atol=1e-4)


def test_it_lists_the_rules() -> None:
    found = onnxray.explain(transformer(), normal(2, 5, 6), "lrp", composite="attnlrp", target=1)
    assert set(found.provenance["nodes_by_rule"]) == {"constant deviation", "taylor", "half each", "epsilon", "pass"}
    with pytest.raises(onnxray.UnsupportedOperator, match=r"(Softmax|LayerNormalization) .* no rule of relevance"):
        onnxray.explain(transformer(), normal(2, 5, 6), "lrp", target=1)
