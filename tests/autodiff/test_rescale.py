"""DeepLIFT's rescale rule: multipliers by their formula, and differences that are shared out without a rest.

tests/methods/test_peers_deep_lift.py compares whole nets with Captum; 1.4e-6 from SHAP 0.51's DeepExplainer, once, on a
small net with a MaxPool (relative L2).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import CONV, Array, model, normal

GIVEN = {
    "A": normal(6, 4),
    "Q": normal(6, 6, seed=1),
    "B": normal(6, 6, seed=2) / 3,
    "g": normal(6, seed=3),
    "b": normal(6, seed=4),
    "two": np.float32(2),
    "low": np.float32(-0.3),
    "high": np.float32(0.4),
    "last": np.array([2]),
}
NETS = {
    "attention": "q = MatMul(x, Q) k = MatMul(x, B) t = Transpose<perm=[0, 2, 1]>(k) p = MatMul(q, t) s = Softmax(p) "
    "z = MatMul(s, x)",
    "the logarithm of Softmax": "z = LogSoftmax(x)",
    "LayerNormalization": "n = LayerNormalization(x, g, b) z = Gelu(n)",
    "RMSNormalization": "n = RMSNormalization(x, g) s = Sigmoid(n) z = Mul(n, s)",
    "InstanceNormalization": "z = InstanceNormalization(x, v, w)",
    "normalisation in several nodes": "m = ReduceMean(x, last) d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q, last) "
    "s = Sqrt(v) z = Div(d, s)",
    "Max and Min": "n = Neg(x) s = Max(x, n) m = Min(n, b) z = Add(s, m)",
    "quotients": "e = Exp(x) s = ReduceSum(e, last) d = Div(e, s) p = Pow(d, two) c = Reciprocal(s) z = Mul(p, c)",
    "activations": "a = Tanh(x) d = LeakyRelu(a) e = Elu(d) f = Erf(e) h = Clip(f, low, high) i = HardSwish(h) "
    "z = Softplus(i)",
    "layers without a bias": "c = Conv<pads=[1, 1]>(x, W) n = BatchNormalization(c, v, w, w, u) z = Relu(n)",
    "roots at zero": "r = Relu(x) z = Sqrt(r)",
    "overlapping windows": "z = MaxPool<kernel_shape=[3], pads=[1, 1]>(x)",
    "a maximum over an axis": "m = ReduceMax(x, last) z = Sub(x, m)",
}  # fmt: skip


def built(text: str) -> Any:
    given = GIVEN | {"v": normal(5, seed=6), "w": normal(5, seed=7), "u": np.ones(5, np.float32), "W": normal(5, 5, 3)}
    used = {name: array for name, array in given.items() if re.search(rf"\b{name}\b(?! =)", text + " A")}
    made = set(re.findall(r"(\w+) =", text))
    kept = {name: array for name, array in used.items() if name not in made}
    return model(f"net (float[N, 5, 6] x) => (float[N, 5, 4] y) {{ {text}  y = MatMul(z, A) }}", kept, opset=23)


@pytest.mark.parametrize("name", NETS)
def test_the_change_of_the_score_is_shared_out(name: str) -> None:
    x, start = normal(3, 5, 6), normal(5, 6, seed=8) / 2
    x[0, 1] = start[1]  # values that do not differ from their reference
    found = onnxray.explain(built(NETS[name]), x, "deep-lift", target=(2, 1), baseline=start)
    change = found.score - scores(NETS[name], start[None])
    np.testing.assert_allclose(np.asarray(found.values).sum((1, 2)), change, atol=1e-4)
    np.testing.assert_allclose(found.delta, 0, atol=1e-4)
    assert np.abs(change).max() > 5e-3
    assert np.isfinite(found.values).all()


def scores(text: str, x: Array) -> Array:
    return onnxray.activations(built(text), x, "y")["y"][:, 2, 1]


def test_rounding_passes_straight_through_and_clipping_is_rescaled() -> None:
    """As if every rounding error were a constant; ``delta`` is what the errors bring, and no step is a multiplier."""
    text = "h = MatMul(x, A) q = QuantizeLinear(h, S, Z) d = DequantizeLinear(q, S, Z) r = Mul(d, d) y = MatMul(r, B)"
    given = {"A": normal(6, 9), "B": normal(9, 4), "S": np.float32(0.5), "Z": np.int8(-123)}
    net, x, start = (
        model(f"net (float[N, 6] x) => (float[N, 4] y) {{ {text} }}", given),
        normal(4, 6),
        normal(6, seed=1),
    )
    x[0], x[1], x[2] = (
        start,
        start + 1e-5,
        9 * x[2],
    )  # no difference, one far below a step, and numbers that are clipped
    found = onnxray.explain(net, x, "deep-lift", target=2, baseline=start)
    h, h_ = (value.astype(np.float64) @ given["A"] for value in (x, start))
    clipped = [np.clip(value, -2.5, 125) for value in (h, h_)]  # -128 + 123 steps of 0.5
    d, d_ = (np.clip(np.round(value / 0.5) * 0.5, -2.5, 125) for value in (h, h_))
    none = h == h_
    slope = np.where(none, clipped[0] == h, (clipped[0] - clipped[1]) / np.where(none, 1, h - h_))
    truth = (x - start) * ((slope * (d + d_) * given["B"][:, 2]) @ given["A"].T)
    np.testing.assert_allclose(found.values, truth, rtol=1e-3, atol=1e-3)
    change = (d**2 - d_**2) @ given["B"][:, 2]
    np.testing.assert_allclose(found.delta, truth.sum(1) - change, atol=1e-3)
    assert (clipped[0] != h).any()
    assert np.abs(found.values[1]).max() < 1e-3


NEXT = float(np.nextafter(np.float32(2), np.float32(3)))
ENDS_OF_CLIP = [  # of Clip(0, 6): at the reference, and at the input
    (2, 2), (-1, -1), (7, 7), (0, 0), (6, 6), (2, NEXT), (NEXT, 2), (-1, 3), (3, -1), (-1, 9), (9, -1), (7, 4), (4, 7),
    (5.9999, 1e4), (-1e4, 1e-3), (-1e-3, 1e-3), (-2, -1), (-1, -2), (8, 9), (9, 8), (3, 4),
]  # fmt: skip


@pytest.mark.parametrize("ends", [ENDS_OF_CLIP, [ends for ends in ENDS_OF_CLIP if ends[0] < 6]], ids=["all", "below 6"])
@pytest.mark.parametrize("channels", [3, 16])  # 16 fill blocks of onnxruntime's layout
def test_the_slope_between_bounds_is_a_quotient_and_at_equal_ends_the_derivative(
    channels: int, ends: Any, tmp_path: Any
) -> None:
    """By what z = u + v hands on to v, which falls by a few last bits of z whether z changes or not."""
    import onnxruntime

    start, z = np.array(ends, np.float32).T.reshape(2, 1, -1, 1).repeat(channels, 1)
    fall = 4 * np.spacing(np.maximum(np.abs(z), np.abs(start)))
    size = f"float[N, {channels}, {len(ends)}, 1]"
    text = "z = Add(u, v) c = Clip(z, low, high) f = Flatten(c) y = ReduceSum(f, axis)"
    given = {"low": np.float32(0), "high": np.float32(6), "axis": np.array([1])}
    net = model(f"net ({size} u, {size} v) => (float[N, 1] y) {{ {text} }}", given)
    feeds = {"u": (z + fall)[None], "v": -fall[None]}
    explainer = onnxray.Explainer(net, "deep-lift", baseline={"u": start, "v": 0.0})
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "d.onnx"), providers=["CPUExecutionProvider"])
    (saved,) = session.run(["attribution_v"], {**feeds, "target": np.array([0])})
    a, b = z.astype(np.float64), start.astype(np.float64)
    inside, none = (b > 0) & (b < 6), a == b
    truth = np.where(none, inside, (a.clip(0, 6) - b.clip(0, 6)) / np.where(none, 1, a - b))
    for found in (explainer(feeds, target=0).values["v"], saved):  # type: ignore[index]
        np.testing.assert_allclose(found[0] / -fall, truth, rtol=2e-6, atol=1e-18)


def test_a_maximum_gives_to_what_holds_it() -> None:
    """From (3, 1) at the reference to (0, 5): the maximum grows by 2, all by the second."""
    net = model("net (float[N, 1, 2] x) => (float[N, 1, 1] y) { y = MaxPool<kernel_shape=[2]>(x) }")
    grown, fallen = np.array([[[[0, 5]]], [[[1, 2]]]], np.float32)
    for x, truth in ((grown, [0, 2]), (fallen, [-1, 0])):
        found = onnxray.explain(net, x, "deep-lift", target=(0, 0), baseline=np.array([[3, 1]], np.float32))
        np.testing.assert_allclose(found.values, [[truth]], atol=1e-6)


def test_the_example_of_the_paper() -> None:
    """Figure 1: of 1 - max(0, 1 - a - b) the gradient is zero where a + b > 1; each has half of the change."""
    text = "s = ReduceSum(x, a) d = Sub(o, s) r = Relu(d) y = Sub(o, r)"
    given = {"a": np.array([1]), "o": np.array([[1]], np.float32)}
    net = model(f"net (float[N, 2] x) => (float[N, 1] y) {{ {text} }}", given)
    found = onnxray.explain(net, np.ones((1, 2), np.float32), "deep-lift", target=0)
    np.testing.assert_allclose(found.values, [[0.5, 0.5]])
    assert not np.any(onnxray.explain(net, np.ones((1, 2), np.float32) * 2, "saliency", target=0).values)


def test_two_inputs_have_a_baseline_each() -> None:
    net = model("net (float[N, 3] a, float[N, 3] b) => (float[N, 3] y) { p = Mul(a, b) y = Tanh(p) }")
    given = {"a": normal(2, 3), "b": normal(2, 3, seed=1)}
    found = onnxray.explain(net, given, "deep-lift", target=1, baseline={"a": 0.5, "b": -0.25})
    total = sum(np.asarray(values).sum(1) for values in found.values.values())
    np.testing.assert_allclose(total, found.score - np.tanh(-0.125), atol=1e-6)
    np.testing.assert_allclose(found.delta, 0, atol=1e-6)


def test_a_contrast_and_the_top_class_keep_their_target_at_the_baseline() -> None:
    x = CONV.x()
    for target in ("top1", onnxray.scores.Contrast("top1", 2)):
        found = onnxray.explain(CONV.proto(), x, "deep-lift", target=target, baseline=0.5)
        np.testing.assert_allclose(found.delta, 0, atol=1e-5)


def test_a_saved_file_says_the_same(tmp_path: Any) -> None:
    import onnxruntime

    explainer = onnxray.Explainer(CONV.proto(), "deep-lift", baseline=[0.5, -1.0])
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "d.onnx"), providers=["CPUExecutionProvider"])
    values, delta = session.run(["attribution", "delta"], {"x": CONV.x(), "target": np.array([2, 2, 2])})
    found = explainer(CONV.x(), target=2)
    np.testing.assert_allclose(values, found.values, atol=1e-6)
    np.testing.assert_allclose(delta, found.delta, atol=1e-5)


def test_an_operator_without_a_rule_of_differences_is_refused() -> None:
    net = model("net (float[N, 4] x) => (float[N, 4] y) { y = LpNormalization(x) }")
    with pytest.raises(onnxray.UnsupportedOperator, match=r"LpNormalization .* has no rule of differences"):
        onnxray.explain(net, normal(2, 4), "deep-lift", target=1)
    branch = """net (float[N, 4] x, bool c) => (float[N, 4] y) {
        y = If(c) <
            then_branch = up () => (float[N, 4] a) { a = Relu(x) },
            else_branch = down () => (float[N, 4] b) { b = Neg(x) }
        >
    }"""
    with pytest.raises(onnxray.UnsupportedOperator, match=r"If .* has no rule of differences"):
        onnxray.explain(model(branch), {"x": normal(2, 4), "c": np.array(True)}, "deep-lift", target=1)
