"""Each method's formula in plain numpy, on nets whose gradient is known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from nets import net
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from onnxray.layer_outputs import LayerReader
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

TOLERANCE = 1e-5
NEWEST = onnx.defs.onnx_opset_version()

Array = np.ndarray


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def distance(found: Any, truth: Array) -> float:
    assert found.shape == truth.shape
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def model(text: str, weights: dict[str, Array] | None = None, opset: int = 18) -> onnx.ModelProto:
    """A model from the text of its graph, with initializers by name."""
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    return made


# Two nets, by hand --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense:
    """z = max(x A + a, 0) B + b."""

    inputs: int = 6
    hidden: int = 9
    classes: int = 4

    @cached_property
    def weights(self) -> dict[str, Array]:
        """B is small, so that a Softmax behind it is not saturated."""
        return {
            "A": normal(self.inputs, self.hidden),
            "a": normal(self.hidden),
            "B": normal(self.hidden, self.classes) / 8,
            "b": normal(self.classes),
        }

    def proto(self, tail: str = "y = Identity(z)", shape: str = "", kind: str = "float", opset: int = 18) -> Any:
        return model(
            f"""net (float[N, {self.inputs}] x) => ({kind}[N, {shape or self.classes}] y) {{
                [first] h = Gemm(x, A, a)
                [relu] r = Relu(h)
                [second] z = Gemm(r, B, b)
                {tail}
            }}""",
            self.weights,
            opset,
        )

    def x(self, count: int = 3, seed: int = 0) -> Array:
        return normal(count, self.inputs, seed=seed)

    def hidden_of(self, x: Array) -> Array:
        return x.astype(np.float64) @ self.weights["A"] + self.weights["a"]

    def scores(self, x: Array) -> Array:
        return np.maximum(self.hidden_of(x), 0) @ self.weights["B"] + self.weights["b"]

    def gradient(self, x: Array, k: int, relu: str = "exact") -> Array:
        h = self.hidden_of(x)
        return backwards(h, np.broadcast_to(self.weights["B"][:, k], h.shape), relu) @ self.weights["A"].T

    def all_gradients(self, x: Array) -> Array:
        return np.stack([self.gradient(x, k) for k in range(self.classes)], 1)


@dataclass(frozen=True)
class Convolutional:
    """z = mean over places of max(conv(x, A) + a, 0), times B plus b; convolution of 3 x 3, pads 1."""

    size: tuple[int, int] = (6, 5)
    channels: int = 2
    maps: int = 5
    classes: int = 4

    @cached_property
    def weights(self) -> dict[str, Array]:
        return {
            "A": normal(self.maps, self.channels, 3, 3),
            "a": normal(self.maps),
            "B": normal(self.maps, self.classes),
            "b": normal(self.classes),
        }

    def proto(self, batch: str | int = "N", size: tuple[Any, Any] | None = None) -> onnx.ModelProto:
        height, width = size or self.size
        return model(
            f"""net (float[{batch}, {self.channels}, {height}, {width}] x) => (float[{batch}, {self.classes}] y) {{
                [conv] h = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x, A, a)
                [relu] r = Relu(h)
                [pool] p = GlobalAveragePool(r)
                [flat] f = Flatten(p)
                [head] y = Gemm(f, B, b)
            }}""",
            self.weights,
        )

    def x(self, count: int = 3, seed: int = 0, size: tuple[int, int] | None = None) -> Array:
        return normal(count, self.channels, *(size or self.size), seed=seed)

    def hidden_of(self, x: Array) -> Array:
        padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
        patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        return np.einsum("nchwij,ocij->nohw", patches, self.weights["A"]) + self.weights["a"][:, None, None]

    def scores(self, x: Array) -> Array:
        return np.maximum(self.hidden_of(x), 0).mean((2, 3)) @ self.weights["B"] + self.weights["b"]

    def gradient_behind_relu(self, x: Array, k: int) -> Array:
        share = self.weights["B"][:, k, None, None] / (x.shape[2] * x.shape[3])
        return np.broadcast_to(share, (len(x), self.maps, *x.shape[2:]))

    def gradient_of_maps(self, x: Array, k: int, relu: str = "exact") -> Array:
        return backwards(self.hidden_of(x), self.gradient_behind_relu(x, k), relu)

    def gradient(self, x: Array, k: int, relu: str = "exact") -> Array:
        dh, dx = (
            self.gradient_of_maps(x, k, relu),
            np.pad(np.zeros_like(x, np.float64), ((0, 0), (0, 0), (1, 1), (1, 1))),
        )
        for i, j in product(range(3), range(3)):
            part = np.einsum("nohw,oc->nchw", dh, self.weights["A"][:, :, i, j])
            dx[:, :, i : i + part.shape[2], j : j + part.shape[3]] += part
        return dx[:, :, 1:-1, 1:-1]


def backwards(h: Array, dr: Array, relu: str) -> Array:
    """What max(h, 0) sends back of dr."""
    return {"exact": (h > 0) * dr, "guided": (h > 0) * (dr > 0) * dr, "deconvnet": (dr > 0) * dr}[relu]


DENSE, CONV = Dense(), Convolutional()
ByHand = Dense | Convolutional


# The papers' formulas -----------------------------------------------------------------------------------------


def saliency(by_hand: ByHand, x: Array, k: int) -> Array:
    return by_hand.gradient(x, k)


def input_x_gradient(by_hand: ByHand, x: Array, k: int) -> Array:
    return x * by_hand.gradient(x, k)


def guided_backprop(by_hand: ByHand, x: Array, k: int) -> Array:
    return by_hand.gradient(x, k, "guided")


def deconvnet(by_hand: ByHand, x: Array, k: int) -> Array:
    return by_hand.gradient(x, k, "deconvnet")


def integrated_gradients(
    by_hand: ByHand, x: Array, k: int, steps: int = 50, baseline: Any = 0.0, rule: str = "gauss-legendre"
) -> Array:
    start = start_of(by_hand, baseline)
    if rule == "inclusive":
        path = [(step / (steps - 1), 1 / steps) for step in range(steps)]
    else:
        path = [((1 + t) / 2, w / 2) for t, w in zip(*np.polynomial.legendre.leggauss(steps), strict=True)]
    return (x - start) * sum(w * by_hand.gradient(start + alpha * (x - start), k) for alpha, w in path)


def start_of(by_hand: ByHand, baseline: Any) -> Array:
    array = np.asarray(baseline, np.float64)
    per_channel = array.ndim == 1 and isinstance(by_hand, Convolutional)
    return array[:, None, None] if per_channel else array


def smoothgrad(by_hand: ByHand, x: Array, k: int, samples: int = 25, noise: float = 0.15, seed: int = 0) -> Array:
    axes = tuple(range(1, x.ndim))
    spread = noise * (x.max(axes, keepdims=True) - x.min(axes, keepdims=True))
    draws = np.random.default_rng([seed, *b"x"]).standard_normal((samples, *x.shape[1:])).astype(np.float32)
    return np.mean([by_hand.gradient(x + spread * draw, k) for draw in draws], 0)


def grad_cam(by_hand: ByHand, x: Array, k: int, layer: str = "conv", relu: bool = True) -> Array:
    assert isinstance(by_hand, Convolutional)
    h, dh = by_hand.hidden_of(x), by_hand.gradient_of_maps(x, k)
    if layer == "relu":
        h, dh = np.maximum(h, 0), by_hand.gradient_behind_relu(x, k)
    cam = (dh.mean((2, 3), keepdims=True) * h).sum(1)
    return np.maximum(cam, 0) if relu else cam


def occlusion(
    by_hand: ByHand,
    x: Array,
    k: int,
    window: Any = None,
    stride: Any = None,
    baseline: Any = 0.0,
    overlap: str = "mean",
) -> Array:
    sizes, images = x.shape[1:], x.ndim == 4
    widths = spans(window, [max(1, round(size / 7)) for size in sizes], sizes if images else None)
    strides = spans(stride, [-(-width // 2) for width in widths], widths if images else None)
    total, count = np.zeros(x.shape), np.zeros(x.shape[1:])
    for corner in product(*(starts(*axis) for axis in zip(sizes, widths, strides, strict=True))):
        place = tuple(slice(begin, begin + width) for begin, width in zip(corner, widths, strict=True))
        hidden = x.astype(np.float64)
        hidden[(slice(None), *place)] = np.broadcast_to(start_of(by_hand, baseline), sizes)[place]
        fall = (by_hand.scores(x) - by_hand.scores(hidden))[:, k]
        total[(slice(None), *place)] += fall.reshape(-1, *[1] * len(sizes))
        count[place] += 1
    return total / np.maximum(count, 1) if overlap == "mean" else total


def spans(given: Any, default: Any, whole: Any) -> list[int]:
    """A number for every axis but the channels, which are covered whole; or one per axis."""
    if isinstance(given, tuple):
        return list(given)
    values = list(default) if given is None else [given] * len(default)
    return values if whole is None else [whole[0], *values[1:]]


def starts(size: int, width: int, stride: int) -> list[int]:
    """Windows begin at multiples of the stride, until one reaches the end."""
    begins = [0]
    while begins[-1] + width < size:
        begins.append(begins[-1] + stride)
    return begins


REPLICAS: dict[str, Callable[..., Array]] = {
    "saliency": saliency,
    "input-x-gradient": input_x_gradient,
    "guided-backprop": guided_backprop,
    "deconvnet": deconvnet,
    "integrated-gradients": integrated_gradients,
    "smoothgrad": smoothgrad,
    "grad-cam": grad_cam,
    "occlusion": occlusion,
}

SETTINGS: list[tuple[ByHand, str, dict[str, Any]]] = [
    *((by_hand, name, {}) for by_hand in (DENSE, CONV) for name in REPLICAS if by_hand is CONV or name != "grad-cam"),
    (DENSE, "integrated-gradients", {"steps": 7, "baseline": normal(6, seed=9)}),
    (DENSE, "integrated-gradients", {"steps": 6, "rule": "inclusive", "baseline": -0.5}),
    (CONV, "integrated-gradients", {"steps": 1}),
    (CONV, "integrated-gradients", {"steps": 5, "baseline": 0.75}),
    (CONV, "integrated-gradients", {"steps": 5, "baseline": [0.5, -1.0]}),
    (CONV, "integrated-gradients", {"steps": 5, "baseline": normal(2, 6, 5, seed=9)}),
    (CONV, "integrated-gradients", {"steps": 2, "rule": "inclusive"}),
    (CONV, "integrated-gradients", {"steps": 9, "rule": "inclusive", "baseline": [0.5, -1.0]}),
    (CONV, "integrated-gradients", {"steps": 9, "rule": "inclusive", "baseline": normal(2, 6, 5, seed=9)}),
    (DENSE, "smoothgrad", {"samples": 1, "noise": 0.5, "seed": 3}),
    (CONV, "smoothgrad", {"samples": 4, "noise": 0.3, "seed": 3}),
    (CONV, "smoothgrad", {"samples": 2, "noise": 0.0}),
    (CONV, "grad-cam", {"relu": False}),
    (CONV, "grad-cam", {"layer": "relu"}),
    (DENSE, "occlusion", {"window": 1, "stride": 1, "baseline": 0.5}),
    (DENSE, "occlusion", {"window": 4, "stride": 3, "overlap": "sum"}),
    (CONV, "occlusion", {"window": 2}),
    (CONV, "occlusion", {"window": 3, "stride": 2}),
    (CONV, "occlusion", {"window": 3, "stride": 2, "overlap": "sum", "baseline": [0.5, -1.0]}),
    (CONV, "occlusion", {"window": (1, 4, 2), "stride": (1, 3, 1)}),
    (CONV, "occlusion", {"window": (2, 1, 5), "stride": (1, 1, 1), "overlap": "sum"}),
    (CONV, "occlusion", {"window": (2, 4, 3), "stride": (2, 5, 4), "baseline": normal(2, 6, 5, seed=9)}),
    (CONV, "occlusion", {"window": 1, "stride": 2}),
]


def label(value: Any) -> str:
    if not isinstance(value, dict):
        return type(value).__name__ if isinstance(value, Dense | Convolutional) else str(value)
    return "-".join(f"{name}={'array' if isinstance(v, np.ndarray) else v}" for name, v in value.items()) or "defaults"


@pytest.mark.parametrize(("by_hand", "method", "options"), SETTINGS, ids=label)
def test_replica(by_hand: ByHand, method: str, options: dict[str, Any]) -> None:
    x = by_hand.x()
    a = onnxray.explain(by_hand.proto(), x, method, target=2, **options)
    assert np.asarray(a.values).dtype == np.float32
    assert distance(a.values, REPLICAS[method](by_hand, x, 2, **options)) <= TOLERANCE
    assert distance(a.score, by_hand.scores(x)[:, 2]) <= TOLERANCE
    assert a.target.tolist() == [2, 2, 2]
    assert a.method == method


def test_every_method_has_a_replica() -> None:
    assert set(REPLICAS) == set(onnxray.METHODS)


@pytest.mark.parametrize("rule", ["gauss-legendre", "inclusive"])
def test_delta_is_the_gap_of_completeness(rule: str) -> None:
    x, options = CONV.x(), {"steps": 6, "baseline": 0.5, "rule": rule}
    a = onnxray.explain(CONV.proto(), x, "integrated-gradients", target=1, **options)
    total = integrated_gradients(CONV, x, 1, **options).sum((1, 2, 3))
    way = (CONV.scores(x) - CONV.scores(np.full_like(x, 0.5)))[:, 1]
    np.testing.assert_allclose(a.delta, total - way, atol=1e-4 * np.abs(way).min())


def test_only_integrated_gradients_have_a_delta() -> None:
    assert [m for m in onnxray.METHODS if onnxray.explain(CONV.proto(), CONV.x(), m).delta is not None] == [
        "integrated-gradients"
    ]


def test_saliency_of_a_linear_model_is_its_weights() -> None:
    weights = normal(5, 3)
    linear = model("net (float[N, 5] x) => (float[N, 3] y) { y = MatMul(x, W) }", {"W": weights})
    a = onnxray.explain(linear, normal(3, 5), target=[0, 1, 2])
    np.testing.assert_array_equal(a.values, weights.T)


# Targets ------------------------------------------------------------------------------------------------------


def test_targets() -> None:
    x, ex = DENSE.x(4), onnxray.Explainer(DENSE.proto())
    gradients, scores = DENSE.all_gradients(x), DENSE.scores(x)
    top = scores.argmax(1)
    assert len(set(top)) > 1, "the example should have several top classes"
    for target, wanted in ((3, [3] * 4), ([3, 0, 1, 1], [3, 0, 1, 1]), ("top1", top), (np.int64(2), [2] * 4)):
        a = ex(x, target)
        assert distance(a.values, gradients[range(4), wanted]) <= TOLERANCE
        assert distance(a.score, scores[range(4), wanted]) <= TOLERANCE
        np.testing.assert_array_equal(a.target, wanted)


def test_seed_target() -> None:
    x, seed = DENSE.x(), normal(3, 4, seed=5)
    a = onnxray.explain(DENSE.proto(), x, target=seed)
    assert distance(a.values, np.einsum("nk,nki->ni", seed, DENSE.all_gradients(x))) <= TOLERANCE
    assert distance(a.score, (seed * DENSE.scores(x)).sum(1)) <= TOLERANCE
    np.testing.assert_array_equal(a.target, seed)


@pytest.mark.parametrize("method", [name for name in REPLICAS if name != "grad-cam"])
def test_seed_target_of_every_method(method: str) -> None:
    """Every method is linear in the score but for the Relu policies; a one-hot seed is a class."""
    x, seed = CONV.x(), np.eye(4, dtype=np.float32)[[1, 3, 0]]
    ex = onnxray.Explainer(CONV.proto(), method)
    assert distance(ex(x, seed).values, np.asarray(ex(x, [1, 3, 0]).values)) <= 1e-6


@pytest.mark.parametrize("target", [(1, 0), (-1, -2), (0, 1)], ids=str)
def test_tuple_target_of_a_score_of_rank_3(target: tuple[int, int]) -> None:
    proto = DENSE.proto("y = Reshape(z, shape)", shape="2, 2")
    proto.graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 2]), "shape"))
    x, flat = DENSE.x(), (target[0] % 2) * 2 + target[1] % 2
    a = onnxray.explain(proto, x, target=target)
    assert distance(a.values, DENSE.gradient(x, flat)) <= TOLERANCE
    seed = np.zeros((3, 2, 2), np.float32)
    seed[:, target[0], target[1]] = 1
    assert distance(onnxray.explain(proto, x, target=seed).values, DENSE.gradient(x, flat)) <= TOLERANCE


# Logits or output ---------------------------------------------------------------------------------------------


def of_output(activation: str, x: Array, k: int) -> tuple[Array, Array]:
    """Value and gradient of the activated score."""
    z, dz = DENSE.scores(x), DENSE.all_gradients(x)
    if activation == "Sigmoid":
        s = 1 / (1 + np.exp(-z[:, k]))
        return s, (s * (1 - s))[:, None] * dz[:, k]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    log = dz[:, k] - np.einsum("nk,nki->ni", p, dz)
    return (np.log(p[:, k]), log) if activation == "LogSoftmax" else (p[:, k], p[:, k, None] * log)


TAILS = {
    "alone": ("y = {}(z)", "4"),
    "Identity": ("p = {}(z)\n q = Identity(p)\n y = Identity(q)", "4"),
    "Cast": ("p = {}(z)\n q = Cast<to=11>(p)\n y = Cast<to=1>(q)", "4"),
    "Reshape": ("p = {}(z)\n y = Reshape(p, shape)", "4, 1"),
    "Flatten": ("q = Reshape(z, shape)\n p = {}<axis=1>(q)\n y = Flatten(p)", "4"),
    "Squeeze": ("q = Unsqueeze(z, two)\n p = {}<axis=1>(q)\n y = Squeeze(p, two)", "4"),
    "Transpose": ("q = Unsqueeze(z, two)\n p = {}<axis=1>(q)\n y = Transpose<perm=[0, 2, 1]>(p)", "1, 4"),
    "Unsqueeze": ("p = {}(z)\n y = Unsqueeze(p, two)", "4, 1"),
    "all": (
        "q = Unsqueeze(z, two)\n p = {}<axis=1>(q)\n t = Transpose<perm=[2, 0, 1]>(p)\n"
        "s = Squeeze(t, zero)\n c = Cast<to=11>(s)\n d = Reshape(c, shape)\n f = Flatten(d)\n y = Cast<to=1>(f)",
        "4",
    ),
}


@pytest.mark.parametrize("activation", ["Softmax", "LogSoftmax", "Sigmoid"])
@pytest.mark.parametrize("tail", TAILS)
def test_score_before_or_behind_the_last_activation(tail: str, activation: str) -> None:
    text, shape = TAILS[tail]
    if activation == "Sigmoid":
        text = text.replace("<axis=1>", "")
    proto = DENSE.proto(text.format(activation), shape)
    vectors = {"shape": [0, 4, 1], "two": [2], "zero": [0]}
    proto.graph.initializer.extend(numpy_helper.from_array(np.array(v), name) for name, v in vectors.items())
    x = DENSE.x()
    logit, output = (onnxray.explain(proto, x, target=1, score=score) for score in ("logit", "output"))
    assert distance(logit.values, DENSE.gradient(x, 1)) <= TOLERANCE
    assert distance(logit.score, DENSE.scores(x)[:, 1]) <= TOLERANCE
    value, gradient = of_output(activation, x, 1)
    assert distance(output.values, gradient) <= TOLERANCE
    assert distance(output.score, value) <= TOLERANCE


def test_softmax_within_the_model_is_no_last_activation() -> None:
    proto = DENSE.proto("p = Softmax(z)\n y = Mul(p, two)")
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2], np.float32), "two"))
    x = DENSE.x()
    assert distance(onnxray.explain(proto, x, target=1).values, 2 * of_output("Softmax", x, 1)[1]) <= TOLERANCE


def test_score_may_be_a_tensor() -> None:
    a = onnxray.explain(DENSE.proto("y = Softmax(z)"), DENSE.x(), target=1, score="z")
    assert distance(a.values, DENSE.gradient(DENSE.x(), 1)) <= TOLERANCE


# Jacobian, activations, differentiate -------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", [DENSE, CONV], ids=label)
def test_jacobian(by_hand: ByHand) -> None:
    x = by_hand.x()
    found = onnxray.jacobian(by_hand.proto(), x)
    assert distance(found, np.stack([by_hand.gradient(x, k) for k in range(4)], 1)) <= TOLERANCE


def test_jacobian_is_of_the_output_unless_logits_are_asked_for() -> None:
    proto, x = DENSE.proto("y = Softmax(z)"), DENSE.x()
    expected = np.stack([of_output("Softmax", x, k)[1] for k in range(4)], 1)
    assert distance(onnxray.jacobian(proto, x), expected) <= TOLERANCE
    assert distance(onnxray.jacobian(proto, x, score="logit"), DENSE.all_gradients(x)) <= TOLERANCE


def test_jacobian_of_several_inputs() -> None:
    """y = (a head)(b head), elementwise, b with its examples along axis 1."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 4] a, float[4, N] b) => (float[N, 3] y)
    { p = MatMul(a, w) t = Transpose(b) q = MatMul(t, w) y = Mul(p, q) }"""
    proto, w = onnx.parser.parse_model(text), np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    a, b = (np.random.default_rng(k).normal(size=(5, 4)).astype(np.float32) for k in (1, 2))
    found = onnxray.jacobian(proto, {"a": a, "b": b.T})
    assert list(found) == ["a", "b"]
    assert distance(found["a"], np.einsum("nc,fc->ncf", b @ w, w)) <= TOLERANCE
    assert distance(found["b"], np.einsum("nc,fc->ncf", a @ w, w)) <= TOLERANCE


def test_jacobian_wants_examples_to_be_counted() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 4] a, float[4] b) => (float[N, 4] y) { y = Mul(a, b) }"""
    given = {"a": np.ones((2, 4), np.float32), "b": np.ones(4, np.float32)}
    with pytest.raises(onnxray.InputError, match="an axis that counts examples, which 'b' has not"):
        onnxray.jacobian(onnx.parser.parse_model(text), given)


def test_layers_are_read_in_one_session() -> None:
    reader, x = LayerReader(CONV.proto(), "conv"), CONV.x(3)
    session = reader.session
    for rows in (x, x[:1]):
        assert distance(reader(rows)["conv"], CONV.hidden_of(rows)) <= TOLERANCE
    assert reader.session is session


@pytest.mark.parametrize("batch", ["N", 2])
def test_activations(batch: str | int) -> None:
    x, names = CONV.x(5), ["conv", "r", "head"]
    found = onnxray.activations(CONV.proto(batch), x, names)
    assert list(found) == names
    h = CONV.hidden_of(x)
    for name, truth in zip(names, (h, np.maximum(h, 0), CONV.scores(x)), strict=True):
        assert distance(found[name], truth) <= TOLERANCE


def run(graph: onnxray.GradientGraph, **feeds: Array) -> dict[str, Array]:
    onnx.checker.check_model(graph.model, full_check=True)
    assert {entry.domain for entry in graph.model.opset_import} == {""}
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(list(graph.gradients.values()), feeds)
    return dict(zip(graph.gradients, (np.asarray(result) for result in results), strict=True))


def test_differentiate_with_respect_to_inputs_and_intermediate_tensors() -> None:
    x, seed = CONV.x(), normal(3, 4, seed=2)
    graph = onnxray.differentiate(CONV.proto(), of=["y"], wrt=["x", "h"])
    found = run(graph, x=x, **{graph.seeds["y"]: seed})
    per_class = [(seed[:, k, None, None, None], k) for k in range(4)]
    assert distance(found["x"], np.sum([w * CONV.gradient(x, k) for w, k in per_class], 0)) <= TOLERANCE
    assert distance(found["h"], np.sum([w * CONV.gradient_of_maps(x, k) for w, k in per_class], 0)) <= TOLERANCE


def test_differentiate_of_an_intermediate_tensor() -> None:
    x, seed = DENSE.x(), normal(3, 9, seed=2)
    graph = onnxray.differentiate(DENSE.proto(), of="r", wrt="x")
    found = run(graph, x=x, **{graph.seeds["r"]: seed})
    assert distance(found["x"], ((DENSE.hidden_of(x) > 0) * seed) @ DENSE.weights["A"].T) <= TOLERANCE


@pytest.mark.parametrize("relu", ["exact", "guided", "deconvnet"])
def test_differentiate_lists_the_relus(relu: str) -> None:
    x, seed = DENSE.x(), np.eye(4, dtype=np.float32)[[2, 2, 2]]
    graph = onnxray.differentiate(DENSE.proto(), relu=relu)
    found = run(graph, x=x, **{graph.seeds["y"]: seed})
    assert distance(found["x"], DENSE.gradient(x, 2, relu)) <= TOLERANCE
    (activation,) = graph.activations
    assert (activation.node, activation.op, activation.overridden) == ("relu", "Relu", relu != "exact")


# Inputs of all kinds ------------------------------------------------------------------------------------------


def test_several_inputs() -> None:
    """y = relu(u) A + (v * E[i]) B, with v transposed: its batch is axis 1."""
    weights = {"A": normal(5, 3), "B": normal(2, 3), "E": normal(7, 2)}
    proto = model(
        """net (float[N, 5] u, float[2, N] v, int64[N] i) => (float[N, 3] y) {
            r = Relu(u)
            ra = MatMul(r, A)
            t = Transpose<perm=[1, 0]>(v)
            e = Gather(E, i)
            m = Mul(t, e)
            mb = MatMul(m, B)
            y = Add(ra, mb)
        }""",
        weights,
    )
    u, v, i, target = normal(4, 5), normal(2, 4), np.array([3, 0, 6, 6]), [0, 2, 1, 1]
    a = onnxray.explain(proto, {"u": u, "v": v, "i": i}, target=target)
    assert isinstance(a.values, dict)
    assert list(a.values) == ["u", "v"]
    assert distance(a.values["u"], (u > 0) * weights["A"].T[target]) <= TOLERANCE
    assert distance(a.values["v"], (weights["E"][i] * weights["B"].T[target]).T) <= TOLERANCE
    starts = {"u": 0.5, "v": normal(2)}
    a = onnxray.explain(
        proto, {"u": u, "v": v, "i": i}, "integrated-gradients", target=target, baseline=starts, steps=40
    )
    assert isinstance(a.values, dict)
    truth = ((v - starts["v"][:, None]).T * weights["E"][i] * weights["B"].T[target]).T
    assert distance(a.values["v"], truth) <= TOLERANCE


SHARED = """net (float[N, 4] x, float[4] s) => (float[N, 4] y) { r = Relu(x)  y = Mul(r, s) }"""


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "smoothgrad"])
def test_an_input_without_a_batch_axis_is_explained_for_each_example(method: str) -> None:
    x, s = np.abs(normal(3, 4)), normal(4)
    a = onnxray.explain(model(SHARED), {"x": x, "s": s}, method, target=[1, 2, 3])
    assert isinstance(a.values, dict)
    for row in range(3):
        alone = onnxray.explain(model(SHARED), {"x": x[row : row + 1], "s": s}, method, target=row + 1)
        assert isinstance(alone.values, dict)
        for name in ("x", "s"):
            np.testing.assert_allclose(a.values[name][row], alone.values[name][0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("method", REPLICAS)
def test_a_fixed_batch_takes_any_number_of_examples(method: str, batch: int) -> None:
    x = CONV.x(5)
    fixed = onnxray.explain(CONV.proto(batch), x, method, target=[0, 1, 2, 3, 0])
    free = onnxray.explain(CONV.proto(), x, method, target=[0, 1, 2, 3, 0])
    assert distance(fixed.values, np.asarray(free.values)) <= TOLERANCE
    np.testing.assert_allclose(fixed.score, free.score, rtol=1e-5)


@pytest.mark.parametrize("method", REPLICAS)
def test_open_spatial_dimensions(method: str) -> None:
    ex = onnxray.Explainer(CONV.proto(size=("H", "W")), method)
    for size in ((6, 5), (4, 9), (6, 5)):
        x = CONV.x(2, size=size)
        assert distance(ex(x, 3).values, REPLICAS[method](CONV, x, 3)) <= TOLERANCE


def test_everything_open() -> None:
    proto = CONV.proto(size=("H", "W"))
    for dim in proto.graph.input[0].type.tensor_type.shape.dim:
        dim.Clear()
    x = CONV.x()
    assert distance(onnxray.explain(proto, x, target=0).values, CONV.gradient(x, 0)) <= TOLERANCE


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_half_and_double_models(kind: type) -> None:
    letter = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    proto = model("net (float[N, 5] x) => (float[N, 3] y) { y = MatMul(x, W) }", {"W": normal(5, 3).astype(kind)})
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = letter
    a = onnxray.explain(proto, normal(2, 5), target=1)
    assert np.asarray(a.values).dtype == np.float32
    assert distance(a.values, np.stack([normal(5, 3).astype(kind)[:, 1]] * 2)) <= 1e-6


# Opsets -------------------------------------------------------------------------------------------------------


def at_opset(version: int) -> onnx.ModelProto:
    """Conv, Relu, Dropout, mean over places, Squeeze, Gemm, Softmax as the opset writes them."""
    axes = {"mean": [2, 3], "squeeze": [2, 3]}
    ratio: dict[str, Any] = {"ratio": 0.5} if version < 12 else {}
    nodes = [
        helper.make_node("Conv", ["x", "A", "a"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Dropout", ["r"], ["d"], **ratio),
        _with_axes("ReduceMean", "d", "m", axes["mean"], version < 18),
        _with_axes("Squeeze", "m", "f", axes["squeeze"], version < 13),
        helper.make_node("Gemm", ["f", "B", "b"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in CONV.weights.items()]
    tensors += [numpy_helper.from_array(np.array(v), f"{op}_axes") for op, v in (("m", [2, 3]), ("f", [2, 3]))]
    read = {name for node in nodes for name in node.input}
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", floats, ["N", 2, 6, 5])],
        [helper.make_tensor_value_info("y", floats, ["N", 4])],
        [tensor for tensor in tensors if tensor.name in read],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


def _with_axes(op: str, x: str, y: str, axes: list[int], attribute: bool) -> onnx.NodeProto:
    keep: dict[str, Any] = {"keepdims": 1} if op.startswith("Reduce") else {}
    if attribute:
        return helper.make_node(op, [x], [y], axes=axes, **keep)
    return helper.make_node(op, [x, f"{y}_axes"], [y], **keep)


def runtime_runs(proto: onnx.ModelProto) -> bool:
    """Whether onnxruntime takes the model itself: it knows fewer opsets than onnx does."""
    try:
        onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    except Fail:
        return False
    return True


@pytest.mark.parametrize("version", range(7, NEWEST + 1))
def test_opset(version: int) -> None:
    proto, x = at_opset(version), CONV.x()
    onnx.checker.check_model(proto, full_check=True)
    graph = onnxray.differentiate(proto, of="z", relu="guided")
    feeds = {"x": x, graph.seeds["z"]: np.eye(4, dtype=np.float32)[[1, 1, 1]]}
    (found,) = ReferenceEvaluator(graph.model).run(list(graph.gradients.values()), feeds)
    assert distance(found, CONV.gradient(x, 1, "guided")) <= TOLERANCE
    if runtime_runs(proto):
        a = onnxray.explain(proto, x, "guided-backprop", target=1)
        assert distance(a.values, CONV.gradient(x, 1, "guided")) <= TOLERANCE
    else:
        with pytest.raises(onnxray.OnnxrayError, match=f"(?i)opset {version}"):
            onnxray.explain(proto, x, "guided-backprop", target=1)


# What must not change a result --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", onnxray.METHODS)
@pytest.mark.parametrize("name", ["cnn", "vit"])
def test_a_row_of_a_batch_is_the_row_alone(name: str, method: str) -> None:
    one = net(name)
    x, ex = one.pictures(3), onnxray.Explainer(one.proto, method)
    together = ex(x)
    for row in range(3):
        alone = ex(x[row : row + 1])
        assert distance(np.asarray(together.values)[row], np.asarray(alone.values)[0]) <= 1e-5
        np.testing.assert_allclose(together.score[row], alone.score[0], rtol=1e-5)
        assert together.target[row] == alone.target[0]


@pytest.mark.parametrize("method", ["integrated-gradients", "smoothgrad", "occlusion"])
def test_memory_changes_no_number(method: str) -> None:
    one = net("cnn")
    x = one.pictures(3)
    whole = onnxray.Explainer(one.proto, method, memory="4GB")(x, [1, 2, 3])
    for memory in ("1MB", "300KB", 1):
        cut = onnxray.Explainer(one.proto, method, memory=memory)
        assert distance(cut(x, [1, 2, 3]).values, np.asarray(whole.values)) <= 1e-6
        np.testing.assert_allclose(cut(x[1:2], 2).values, np.asarray(whole.values)[1:2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("memory", ["4GB", 1])
def test_progress_counts_to_the_end(memory: str | int) -> None:
    seen: list[tuple[int, int]] = []
    ex = onnxray.Explainer(CONV.proto(), "integrated-gradients", memory=memory, steps=5)
    ex(CONV.x(), 0, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (3 * 7, 3 * 7)
    assert len({total for _, total in seen}) == 1


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
@pytest.mark.parametrize("place", ["input", "inside", "output"])
@pytest.mark.parametrize("name", ["target", "seed", "reference", "score", "chosen", "attribution", "explain/Mul"])
def test_a_model_may_use_the_names_of_the_engine(name: str, place: str, method: str) -> None:
    """y = max(x, 0) W, with one of its tensors called what the engine calls its own."""
    proto, weights = model("net (float[N, 5] x) => (float[N, 3] y) { r = Relu(x)  y = MatMul(r, W) }"), normal(5, 3)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "W"))
    _rename(proto, {"input": "x", "inside": "r", "output": "y"}[place], name)
    x = normal(2, 5)
    ex = onnxray.Explainer(proto, method)
    truth = (x > 0) * weights.T[[2, 1]] * (x if method == "integrated-gradients" else 1)
    a = ex(x, [2, 1])
    assert distance(a.values, truth) <= TOLERANCE
    assert distance(a.score, (np.maximum(x, 0) @ weights)[[0, 1], [2, 1]]) <= TOLERANCE
    assert distance(ex(x, np.eye(3, dtype=np.float32)[[2, 1]]).values, truth) <= TOLERANCE


def _rename(proto: onnx.ModelProto, old: str, new: str) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = new if value.name == old else value.name
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


@pytest.mark.parametrize("method", REPLICAS)
def test_the_given_model_is_left_alone(method: str) -> None:
    proto = CONV.proto()
    before = proto.SerializeToString(deterministic=True)
    onnxray.Explainer(proto, method)(CONV.x(), 1)
    onnxray.differentiate(proto, relu="guided")
    assert proto.SerializeToString(deterministic=True) == before


def test_an_explainer_is_built_once_and_answers_alike() -> None:
    ex = onnxray.Explainer(CONV.proto(), "integrated-gradients", steps=5)
    first, second = ex(CONV.x(), 1), ex(CONV.x(), 1)
    np.testing.assert_array_equal(first.values, second.values)
    assert [str(a) for a in ex.activations] == ["Relu relu: left alone"]
