"""Softmax by the rescale rule, by its formula and far from the reference; masks of -inf in attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import Array, model, normal

GIVEN = {"Q": normal(6, 6, seed=1), "K": normal(6, 6, seed=2), "V": normal(6, 4, seed=3)}
CAUSAL = np.triu(np.full((5, 5), -np.inf, np.float32), 1)


def attention(masked: str, **more: Array) -> Any:
    return model(
        f"""net (float[N, 5, 6] x) => (float[N, 4] y) {{
        q = MatMul(x, Q)  k = MatMul(x, K)  t = Transpose<perm=[0, 2, 1]>(k)  p = MatMul(q, t)  {masked}
        s = Softmax(m)  v = MatMul(x, V)  o = MatMul(s, v)  y = ReduceMean<keepdims=0>(o, middle) }}""",
        GIVEN | more | {"middle": np.array([1])},
    )


@pytest.mark.parametrize(
    ("method", "options"),
    [("deep-lift", {}), ("lrp", {"composite": "attnlrp"}), ("input-x-gradient", {})],
    ids=["deep-lift", "lrp", "input-x-gradient"],
)
def test_a_mask_of_infinities_is_one_of_large_numbers(method: str, options: dict[str, Any]) -> None:
    x = normal(2, 5, 6)
    large, infinite, chosen = (
        onnxray.explain(net, x, method, target=1, **options).values
        for net in (
            attention("m = Add(p, M)", M=np.maximum(CAUSAL, -1e4)),
            attention("m = Add(p, M)", M=CAUSAL),
            attention("m = Where(M, p, low)", M=CAUSAL == 0, low=np.float32(-np.inf)),
        )
    )
    assert np.abs(large).max() > 0.1
    np.testing.assert_allclose(infinite, large, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(chosen, large, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [1, 6, 30])
def test_deep_lift_shares_out_what_attention_changes_far_from_its_reference(size: int) -> None:
    """The numbers that Softmax reads move by thousands."""
    x = size * normal(2, 5, 6)
    found = onnxray.explain(attention("m = Identity(p)"), x, "deep-lift", target=1)
    assert np.abs(found.score).max() > 0.1
    np.testing.assert_allclose(np.asarray(found.values).sum((1, 2)), found.score, rtol=1e-3)


def test_softmax_is_the_exponential_of_its_logarithm() -> None:
    """y = exp(x - L), L = log(sum(exp(x))): the rescale rule of each elementwise function in turn."""
    net = model("net (float[N, 4] x) => (float[N, 3] y) { s = Softmax(x)  y = MatMul(s, A) }", {"A": normal(4, 3)})
    x, start = 3 * normal(2, 4, seed=1), normal(4, seed=2)
    found = onnxray.explain(net, x, "deep-lift", target=2, baseline=start)
    a, b = (value.astype(np.float64) for value in (x, np.broadcast_to(start, x.shape)))
    sums, sums_ = (np.exp(value).sum(1, keepdims=True) for value in (a, b))
    y, y_ = np.exp(a) / sums, np.exp(b) / sums_
    logs = normal(4, 3)[:, 2] * (y - y_) / np.log(y / y_)
    share = (np.exp(a) - np.exp(b)) / (a - b) * np.log(sums / sums_) / (sums - sums_)
    truth = (a - b) * (logs - share * logs.sum(1, keepdims=True))
    np.testing.assert_allclose(found.values, truth, rtol=1e-4, atol=1e-5)
