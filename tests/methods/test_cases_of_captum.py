"""The cases that Captum's own tests compute by hand, with the numbers that they give.

The replicas that Zennit's tests compare with are the formulas of relevances.py, which tests/autodiff/test_relevance.py
compares with on layers one behind the other.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import Array, model
from onnxray.autodiff.lrp_overlay import Composite
from onnxray.autodiff.relevance import Z_PLUS, gamma

WEIGHTS: dict[str, Array] = {
    "one": np.array(1, np.float32),
    "half": np.array(1.5, np.float32),
    "A": np.ones((3, 4), np.float32),
    "a": np.array([-10, 1, 1, 1], np.float32),
    "B": np.ones((4, 2), np.float32),
    "b": np.array([-1, 1], np.float32),
    "K": np.ones((2, 1, 3, 3), np.float32),
    "k": np.array([-50, -75], np.float32),
    "F": np.repeat(np.array([[1, 1, 1, 1, 1, -1, -1, -1]], np.float32), 4, 0),
    "P": np.full((3, 3), 2, np.float32),
    "M": np.array([[-2, 2, 2], [2, 2, 2], [2, 2, 2]], np.float32),
    "Q": np.full((3, 1), 3, np.float32),
    "T": np.full((3, 3), 0.1, np.float32),
    "S": np.full((2, 2), 5, np.float32),
}
LAYERS = "h = Gemm(s, A, a)  r = Relu(h)  y = Gemm(r, B, b)"
CONV = "c = Conv(s, K, k)  [relu] r = Relu(c)  f = Flatten(r)  g = Gemm<transB=1>(f, F)  y = Relu(g)"
NETS = {
    "saturated": ("float[N, 1] x", 1, "m = Sub(one, x)  r = Relu(m)  y = Sub(one, r)"),
    "f of the paper": ("float[N, 1] u, float[N, 1] v", 1,
                       "p = Relu(u)  q = Relu(v)  d = Sub(p, one)  e = Sub(d, q)  y = Relu(e)"),
    "g of the paper": ("float[N, 1] u, float[N, 1] v", 1,
                       "m = Sub(u, one)  p = Relu(m)  q = Relu(v)  e = Sub(p, q)  y = Relu(e)"),
    "two Relus": ("float[N, 1] u, float[N, 1] v", 1,
                  "p = Relu(u)  m = Sub(v, half)  q = Relu(m)  s = Add(p, q)  y = Add(s, s)"),
    "layers": ("float[N, 3] s", 2, LAYERS),
    "layers of three": ("float[N, 3] u, float[N, 3] v, float[N, 3] w", 2,
                        f"t = Add(u, v)  s = Add(t, w)  {LAYERS}"),
    "convolution": ("float[N, 1, 4, 4] s", 4, CONV),
    "convolution of two": ("float[N, 1, 4, 4] u, float[N, 1, 4, 4] v", 4, f"s = Add(u, v)  {CONV}"),
    "maximum": ("float[N, 1, 4] x", 1, "m = MaxPool<kernel_shape=[4]>(x)  y = Flatten(m)"),
    "square maximum": ("float[N, 1, 2, 2] x", 1, "m = MaxPool<kernel_shape=[2, 2]>(x)  y = Flatten(m)"),
    "linear": ("float[N, 3] x", 1, "h = MatMul(x, P)  r = Relu(h)  y = MatMul(r, Q)"),
    "a negative weight": ("float[N, 3] x", 1, "h = MatMul(x, M)  r = Relu(h)  y = MatMul(r, Q)"),
    "tanh": ("float[N, 3] x", 3, "h = MatMul(x, T)  r = Tanh(h)  y = MatMul(r, T)"),
    "skip": ("float[N, 2] x", 2, "h = MatMul(x, S)  y = Add(h, x)"),
}  # fmt: skip
ROW, ROWS, PIXELS = [[20, 50, 30]], [[2, 10, 3], [20, 50, 30]], np.arange(16).reshape(1, 1, 4, 4)
THREE_ONE, THREE = {"u": [[3]], "v": [[1]]}, {"u": [[23, 100, 0]], "v": [[20, 50, 30]], "w": [[0, 100, 10]]}
SPARSE = {"u": [[23, 0, 0]], "v": [[20, 0, 50]], "w": [[0, 100, 10]]}
TWO = {"u": PIXELS, "v": np.ones((1, 1, 4, 4))}
FINE, MASK = {"steps": 500, "rule": "inclusive"}, np.array([0, 0, 1])
CASES: list[tuple[str, Any, str, dict[str, Any], Any]] = [
    ("saturated", [[2]], "integrated-gradients", FINE, [[1]]),
    ("saturated", [[2]], "saliency", {}, [[0]]),
    ("saturated", [[2]], "deep-lift", {}, [[1]]),
    ("f of the paper", THREE_ONE, "integrated-gradients", FINE, {"u": [[1.5]], "v": [[-0.5]]}),
    ("f of the paper", THREE_ONE, "deep-lift", {}, {"u": [[1.5]], "v": [[-0.5]]}),
    ("g of the paper", THREE_ONE, "integrated-gradients", FINE, {"u": [[1.5]], "v": [[-0.5]]}),
    ("g of the paper", THREE_ONE, "deep-lift", {}, {"u": [[2]], "v": [[-1]]}),
    ("two Relus", {"u": [[1]], "v": [[2]]}, "deep-lift", {}, {"u": [[2]], "v": [[1]]}),
    ("maximum", [[[1, 1, 1, 1]]], "deep-lift", {"baseline": np.array([[1, 2, 3, 9]])}, [[[0, 0, 0, -8]]]),
    ("maximum", [[[1, 1, 1, 1]]], "deep-lift", {"baseline": np.array([[4, 8, 6, 7]])}, [[[0, -7, 0, 0]]]),
    ("g of the paper", {"u": [[-10], [3]], "v": [[-5], [1]]}, "occlusion", {}, {"u": [[0], [1]], "v": [[0], [-1]]}),
    ("layers", ROW, "occlusion", {"window": 1}, [[80, 200, 120]]),
    ("layers", ROW, "occlusion", {"window": 2, "baseline": 10}, [[200, 220, 240]]),
    ("layers", ROW, "occlusion", {"window": 2, "stride": 2}, [[280, 280, 120]]),
    ("layers", ROWS, "occlusion", {"window": 1}, [[8, 35, 12], [80, 200, 120]]),
    ("convolution of two", TWO, "occlusion", {"window": (1, 2, 3), "stride": (1, 2, 1)},
     {"u": [[[[17] * 4, [17] * 4, [64, 65.5, 65.5, 67], [64, 65.5, 65.5, 67]]]]}),
    ("layers", ROWS, "feature-ablation", {}, [[8, 35, 12], [80, 200, 120]]),
    ("layers", ROW, "feature-ablation", {"groups": MASK}, [[280, 280, 120]]),
    ("layers", ROW, "feature-ablation", {"groups": MASK, "baseline": 4}, [[248, 248, 104]]),
    ("layers of three", THREE, "feature-ablation",
     {"groups": {"u": np.zeros(3, int)}, "baseline": {"u": 2, "v": 3, "w": 4}},
     {"u": [[468, 468, 468]], "v": [[68, 188, 108]], "w": [[-16, 384, 24]]}),
    ("convolution of two", TWO, "feature-ablation", {"groups": "pixels"},
     {"u": [[[[0, 2, 4, 3], [4, 9, 10, 7], [4, 13, 14, 11], [0] * 4]]],
      "v": [[[[1, 2, 2, 1], [1, 2, 2, 1], [1, 2, 2, 1], [0] * 4]]]}),
    ("convolution of two", TWO, "feature-ablation", {"cells": 1},
     {"u": np.full((1, 1, 4, 4), 67), "v": np.full((1, 1, 4, 4), 13)}),
    ("layers", ROW, "kernel-shap", {}, [[230 / 3, 590 / 3, 350 / 3]]),
    ("layers", ROW, "kernel-shap", {"baseline": np.array([10, 20, 10])}, [[40, 120, 80]]),
    ("layers", ROW, "kernel-shap", {"groups": MASK}, [[275, 275, 115]]),
    ("layers", ROW, "kernel-shap", {"groups": MASK, "baseline": 4}, [[248, 248, 104]]),
    ("layers of three", SPARSE, "kernel-shap", {}, {"u": [[90, 0, 0]], "v": [[78, 0, 198]], "w": [[0, 398, 38]]}),
    ("layers", ROW, "shapley-sampling", {"samples": 200}, [[230 / 3, 590 / 3, 350 / 3]]),
    ("convolution", PIXELS, "guided-backprop", {}, [[[[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]]]]),
    ("convolution", PIXELS, "deconvnet", {}, [[[[2, 3, 3, 1], [3, 5, 5, 2], [3, 5, 5, 2], [1, 2, 2, 1]]]]),
    ("convolution", PIXELS, "grad-cam", {"layer": "c"}, [[[11.25, 13.5], [20.25, 22.5]]]),
    ("convolution", PIXELS, "lrp", {"composite": "epsilon"},
     [[[[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0] * 4]]]),
    ("linear", [[1, 2, 3], [3, 6, 9]], "lrp", {"composite": "epsilon"}, [[18, 36, 54], [54, 108, 162]]),
    ("tanh", [[1, 2, 3]], "lrp", {"composite": "epsilon"}, [[0.0269, 0.0537, 0.0806]]),
    ("skip", [[2, 3]], "lrp", {"composite": "epsilon"}, [[10, 18]]),
    ("square maximum", [[[[1, 2], [5, 6]]]], "lrp", {"composite": "epsilon"}, [[[[0, 0], [0, 6]]]]),
]  # fmt: skip


def built(name: str) -> Any:
    inputs, outputs, text = NETS[name]
    return model(f"net ({inputs}) => (float[N, {outputs}] y) {{ {text} }}",
                 {key: array for key, array in WEIGHTS.items() if re.search(rf"\b{key}\b", text)})  # fmt: skip


def explained(name: str, given: Any, method: str, **options: Any) -> Any:
    arrays = {key: np.asarray(array, np.float32) for key, array in given.items()} if isinstance(given, dict) else given
    fed = arrays if isinstance(arrays, dict) else np.asarray(arrays, np.float32)
    return onnxray.explain(built(name), fed, method, target=1 if name == "skip" else 0, score="output", **options)


def every_day() -> list[Any]:
    """Of a net and a method the first case; the others are slow tests."""
    first = {(case[0], case[2]): k for k, case in reversed(list(enumerate(CASES)))}
    return [
        pytest.param(*case, marks=() if first[case[0], case[2]] == k else pytest.mark.slow)
        for k, case in enumerate(CASES)
    ]


@pytest.mark.filterwarnings("ignore:the (saliency|occlusion) map")
@pytest.mark.parametrize(("name", "given", "method", "options", "truth"), every_day())
def test_a_case(name: str, given: Any, method: str, options: dict[str, Any], truth: Any) -> None:
    values = explained(name, given, method, **options).values
    loose = {"integrated-gradients": 4e-3, "shapley-sampling": 0.8}.get(method, 1e-4)
    for key, array in (truth if isinstance(truth, dict) else {"": truth}).items():
        np.testing.assert_allclose(values[key] if key else values, array, atol=loose, rtol=1e-5)


@pytest.mark.parametrize(("rule", "truth"), [(gamma(1), [28 / 3, 104 / 3, 52]), (Z_PLUS, [12, 33.6, 50.4])])
def test_a_rule_of_every_layer(rule: Any, truth: list[float]) -> None:
    """The gamma rule with gamma 1, and alpha 1 with beta 0."""
    found = explained("a negative weight", [[1, 2, 3]], "input-x-gradient",
                      rules=Composite("one", layers={"MatMul": rule}))  # fmt: skip
    np.testing.assert_allclose(found.values, [truth], rtol=1e-5)
