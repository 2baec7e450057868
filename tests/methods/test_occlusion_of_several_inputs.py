"""Occlusion of several inputs: each is covered in turn, wherever its axis of examples is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import onnxruntime as ort
from by_hand import TOLERANCE, model, normal
from measures import distance

W = normal(4, 3)


def test_occlusion_covers_each_input_in_turn(tmp_path: Path) -> None:
    """y = sum u W times sum v V: covering an element of u loses its part, v staying as it is."""
    net = model(
        """net (float[N, 4] u, float[2, N] v) => (float[N, 3] y) {
            a = MatMul(u, W)
            t = Transpose<perm=[1, 0]>(v)
            b = MatMul(t, V)
            y = Mul(a, b)
        }""",
        {"W": W, "V": normal(2, 3)},
    )
    u, v = normal(5, 4), normal(2, 5)
    ex = onnxray.Explainer(net, "occlusion")
    a = ex({"u": u, "v": v}, target=1)
    left, right = (u @ W)[:, 1:2], (v.T @ normal(2, 3))[:, 1:2]
    assert distance(a.values["u"], u * W[:, 1] * right) <= TOLERANCE
    assert distance(a.values["v"], (v.T * normal(2, 3)[:, 1] * left).T) <= TOLERANCE
    session = ort.InferenceSession(ex.save(tmp_path / "saved.onnx"))
    found = session.run(["attribution_u", "attribution_v"], {"u": u, "v": v, "target": np.full(5, 1)})
    for name, truth in zip("uv", found, strict=True):
        assert distance(truth, a.values[name]) <= TOLERANCE


def test_occlusion_of_a_number_and_of_pictures() -> None:
    net = model(
        """net (float[N, 2, 6, 6] x, float k) => (float[N, 2] y) {
            p = GlobalAveragePool(x)
            f = Flatten(p)
            y = Mul(f, k)
        }"""
    )
    x = normal(2, 2, 6, 6)
    a = onnxray.explain(net, {"x": x, "k": np.array(2, np.float32)}, "occlusion", target=1, window=2, stride=2)
    np.testing.assert_allclose(a.values["k"], 2 * x.mean((2, 3))[:, 1], rtol=1e-4)
    falls = 2 * x[:, 1].reshape(2, 3, 2, 3, 2).sum((2, 4)) / 36
    np.testing.assert_allclose(a.values["x"][:, 0], falls.repeat(2, 1).repeat(2, 2), rtol=1e-3, atol=1e-5)
