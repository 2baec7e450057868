"""DeepLIFT's reference that all rows share is computed for one row, where no operator mixes rows.

Compared once on a MobileNetV2 of 224 x 224 with seeded weights (relative L2, from the same rule in PyTorch in float64):
5.3e-5 with one row, 4.8e-5 with a row for each example; kernels of onnxruntime differ in their last digits.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxray
import pytest
from by_hand import Array, model, normal
from measures import distance
from onnxray.attribution.plan import explanation_graph
from onnxray.methods import METHODS

WEIGHTS = {
    "W": normal(4, 3, 3, 3), "b": normal(4, seed=1), "V": normal(4, 1, 3, 3, seed=2), "A": normal(16, 5) / 4,
    "low": np.float32(0), "high": np.float32(2), "flat": np.array([-1, 16]), "rows": np.array([0]),
}  # fmt: skip
BODY = """c = Conv<pads=[1, 1, 1, 1]>(x, W, b)  r = Clip(c, low, high)  d = Conv<group=4, pads=[1, 1, 1, 1]>(r, V)
    e = Elu(d)  s = Add(e, r)  m = MaxPool<kernel_shape=[3, 3], strides=[2, 2]>(s)  q = Mul(m, m)"""
TAIL = "f = Reshape(q, flat)  y = Gemm(f, A)"
MIXED = "u = ReduceMean<keepdims=1>(q, rows)  v = Add(q, u)  f = Reshape(v, flat)  y = Gemm(f, A)"


def net(tail: str) -> bytes:
    text = f"net (float[N, 3, 5, 5] x) => (float[N, 5] y) {{ {BODY}  {tail} }}"
    return model(text, {name: array for name, array in WEIGHTS.items() if name in f"{BODY} {tail}"}).SerializeToString()


@pytest.mark.parametrize(
    ("tail", "start"),
    [(TAIL, 0.5), (TAIL, normal(3, 5, 5, seed=5)), (MIXED, 0.5)],
    ids=["a number", "an example", "rows mixed"],
)
def test_it_is_the_pass_of_every_row(tail: str, start: float | Array) -> None:
    x = normal(3, 3, 5, 5, seed=3)
    each = np.broadcast_to(np.asarray(start, np.float32), x.shape).copy()
    shared, apart = (onnxray.explain(net(tail), x, "deep-lift", target=2, baseline=one) for one in (start, each))
    assert distance(shared.values, apart.values) <= 1e-5
    assert shared.delta is not None
    gaps = shared.delta if tail == TAIL else shared.delta.sum()  # of mixed rows one gets what another's score changes
    np.testing.assert_allclose(gaps, 0, atol=1e-3)
    assert np.abs(shared.values).max() > 0.1


@pytest.mark.parametrize(("tail", "one"), [(TAIL, True), (MIXED, False)], ids=["rows apart", "rows mixed"])
def test_what_is_shared_hangs_on_no_input(tail: str, one: bool) -> None:
    """A runtime computes it as it loads the graph."""
    graph = explanation_graph(onnxray.load(net(tail)), METHODS["deep-lift"](), score="logit").model.graph
    found = [node for node in graph if node.op_type == "MaxPool" and str(node.name).startswith("reference")]
    assert [node.outputs[0].shape == ir.Shape([1, 4, 2, 2]) for node in found] == [one]


def test_clipping_where_nothing_differs_has_its_derivative() -> None:
    """Of Clip(a + b + c), (1, -1) differs from (0, 0), and the sum does not; (2, 0) leaves a quarter of 2."""
    text = "net (float[N, 2] x) => (float[N, 1] y) { s = ReduceSum(x, a) t = Add(s, c) y = Clip(t, low, high) }"
    given = {"a": np.array([1]), "low": np.float32(-0.5), "high": np.float32(0.5)}
    x = np.array([[1, -1], [2, 0]], np.float32)
    for offset, truth in ((0, [[1, -1], [0.5, 0]]), (2, [[0, 0], [0, 0]])):
        proto = model(text, given | {"c": np.full((1, 1), offset, np.float32)})
        found = onnxray.explain(proto, x, "deep-lift", target=0)
        np.testing.assert_allclose(found.values, truth, atol=1e-6)
