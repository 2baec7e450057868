"""The rules of LRP for layers, by the formulas of their papers in numpy, and what must hold of any composite.

tests/methods/test_peers_relevance.py compares whole nets with Zennit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import CONV, DENSE, TOLERANCE, Array, model, normal
from measures import distance
from onnxray.autodiff import relevance as relevance_rules
from onnxray.autodiff.composites import COMPOSITES
from onnxray.autodiff.lrp_overlay import Composite
from onnxray.autodiff.relevance import FLAT, W_SQUARE, Z_PLUS, LayerRule, alpha_beta, gamma, z_box
from relevances import Spread, epsilon, stable
from relevances import alpha_beta as by_alpha_beta
from relevances import flat as by_flat
from relevances import gamma as by_gamma
from relevances import w_square as by_w_square
from relevances import z_box as by_z_box
from relevances import z_plus as by_z_plus

INNER = [(Z_PLUS, by_z_plus), (gamma(0.4), by_gamma(0.4)), (alpha_beta(3, 2), by_alpha_beta(3, 2))]
FIRST = [(FLAT, by_flat), (W_SQUARE, by_w_square), (z_box(-3, 2.5), by_z_box(-3, 2.5))]
PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
NAMES = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def relevance(net: Any, x: Array, rule: LayerRule, first: bool = False, k: int = 1) -> Array:
    composite = Composite("one", first=rule) if first else Composite("one", layers=dict.fromkeys(NAMES, rule))
    found = onnxray.explain(net, x, "input-x-gradient", target=k, rules=composite)
    return np.asarray(found.values)


def test_the_page_names_every_rule() -> None:
    """With the place in a composite that it is for."""
    rows = re.findall(r"^\| `(\w+)(?:\([^)]*\))?` \| `(layers|first)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    rules = {name: getattr(relevance_rules, name) for name in relevance_rules.__all__}
    made = {name: rule if isinstance(rule, LayerRule) else rule() for name, rule in rules.items() if is_rule(rule)}
    kinds = [{one.name.split()[0] for one, _ in place} for place in (INNER, FIRST)]
    assert dict(rows) == {name: "first" if one.name.split()[0] in kinds[1] else "layers" for name, one in made.items()}
    assert {one.name.split()[0] for one in made.values()} == kinds[0] | kinds[1]


def is_rule(value: Any) -> bool:
    """A rule, or a function that makes one."""
    return isinstance(value, LayerRule) or getattr(value, "__annotations__", {}).get("return") == "LayerRule"


def named(value: Any) -> str:
    return value.name if isinstance(value, LayerRule) else ""


@pytest.mark.parametrize(("rule", "formula"), INNER, ids=named)
def test_layers_one_behind_the_other(rule: LayerRule, formula: Spread) -> None:
    """The first layer sees x of both signs, the second what a Relu lets pass."""
    x, w, h = DENSE.x(), DENSE.weights, DENSE.hidden_of(DENSE.x())
    score = DENSE.scores(x) * np.eye(4)[1]
    hidden = formula(np.maximum(h, 0), w["B"], w["b"], score)
    truth = formula(x.astype(np.float64), w["A"], w["a"], hidden)
    assert distance(relevance(DENSE.proto(), x, rule), truth) <= TOLERANCE


@pytest.mark.parametrize(("rule", "formula"), FIRST, ids=named)
def test_a_first_layer_gives_relevance_to_zeros_too(rule: LayerRule, formula: Spread) -> None:
    x, w, h = DENSE.x(), DENSE.weights, DENSE.hidden_of(DENSE.x())
    x[:, 2] = 0
    h = DENSE.hidden_of(x)
    hidden = epsilon(np.maximum(h, 0), w["B"], w["b"], DENSE.scores(x) * np.eye(4)[1])
    found = relevance(DENSE.proto(), x, rule, first=True)
    assert distance(found, formula(x.astype(np.float64), w["A"], w["a"], hidden)) <= TOLERANCE
    assert np.abs(found[:, 2]).min() > 0


def test_the_bounds_of_a_box_are_the_examples_own_by_default() -> None:
    x = DENSE.x()
    own = [relevance(DENSE.proto(), row[None], z_box(float(row.min()), float(row.max())), first=True) for row in x]
    assert distance(relevance(DENSE.proto(), x, z_box(), first=True), np.concatenate(own)) <= TOLERANCE


LAYERS = {  # two nets that compute the same: a layer in several nodes, and in one
    "MatMul, Add": ("h = MatMul(x, A)  y = Add(h, a)", "y = Gemm(x, A, a)"),
    "MatMul, Sub": ("h = MatMul(x, A)  y = Sub(a, h)", "n = Neg(A)  y = Gemm(x, n, a)"),
    "MatMul of weights and x": (
        "t = Transpose(x)  w = Transpose(A)  h = MatMul(w, t)  y = Transpose(h)",
        "y = MatMul(x, A)",
    ),
    "Gemm with attributes": (
        "w = Transpose(A)  y = Gemm<alpha=-0.5, beta=2.0, transB=1>(x, w, a)",
        "y = Gemm(x, C, c)",
    ),
    "Gemm, BatchNormalization": ("h = Gemm(x, A, a)  y = BatchNormalization(h, s, o, m, v)", "y = Gemm(x, D, d)"),
    "Gemm, Mul, Add": ("h = Gemm(x, A, a)  n = Mul(f, h)  y = Add(n, e)", "y = Gemm(x, D, d)"),
    "MatMul, Div": ("h = MatMul(x, A)  y = Div(h, i)", "y = MatMul(x, E)"),
    "MatMul, BatchNormalization": ("h = MatMul(x, A)  y = BatchNormalization(h, s, o, z, v)", "y = Gemm(x, D, o)"),
}


def weights() -> dict[str, Array]:
    a, b = normal(6, 4), normal(4)
    s, o, m, v = (normal(4, seed=seed) for seed in range(4))
    factor = s / np.sqrt(v * v + 1e-5)
    more = {"s": s, "o": o, "m": m, "v": v * v, "z": np.zeros(4), "D": a * factor, "d": (b - m) * factor + o}
    more |= {"f": factor, "e": o - m * factor, "i": s, "E": a / s}
    every = {"A": a, "a": b, "C": -0.5 * a, "c": 2 * b} | more
    return {name: array.astype(np.float32) for name, array in every.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_in_several_nodes_is_one(name: str) -> None:
    x, found = normal(3, 6, seed=4), []
    for text in LAYERS[name]:
        used = {
            k: w
            for k, w in weights().items()
            if k in text.replace(",", " ").replace("(", " ").replace(")", " ").split()
        }
        net = model(f"net (float[N, 6] x) => (float[N, 4] y) {{ {text} }}", used)
        found.append(relevance(net, x, alpha_beta(3, 2)))  # by signs of weights and biases
    assert distance(found[0], found[1]) <= TOLERANCE
    assert np.abs(found[0]).max() > 0.01


BEHIND = {"a node": "n = BatchNormalization(h, s, o, m, v)", "a scale": "k = Mul(h, f)  n = Add(k, e)"}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_convolutions_with_a_batch_normalisation(op: str, behind: str) -> None:
    """What a convolution does is a matrix, whose columns are its answers to unit vectors."""
    made = {"s": normal(3), "o": normal(3, seed=1), "m": normal(3, seed=2), "v": np.abs(normal(3, seed=3)) + 0.5}
    shape = (3, 2, 2, 2) if op == "Conv" else (2, 3, 2, 2)
    factor = made["s"] / np.sqrt(made["v"] + 1e-5)
    scale = {"f": factor.reshape(1, 3, 1, 1), "e": (made["o"] - made["m"] * factor).reshape(3, 1, 1)}
    given = (made if behind == "a node" else scale) | {"W": normal(*shape), "w": normal(3, seed=5)}
    text = f"h = {op}<strides=[2, 1], pads=[1, 0, 0, 1]>(x, W, w)  {BEHIND[behind]}  y = Flatten(n)"
    net = model(f"net (float[N, 2, 4, 4] x) => (float[N, K] y) {{ {text} }}", given)
    x, units = normal(2, 2, 4, 4, seed=7), np.eye(32, dtype=np.float32).reshape(32, 2, 4, 4)
    bias = onnxray.activations(net, 0 * x[:1], "y")["y"].astype(np.float64)
    matrix = onnxray.activations(net, units, "y")["y"] - bias
    score = onnxray.activations(net, x, "y")["y"] * np.eye(bias.shape[1])[5]
    for rule, formula in INNER:
        truth = formula(x.reshape(2, -1).astype(np.float64), matrix, bias[0], score).reshape(x.shape)
        assert distance(relevance(net, x, rule, k=5), truth) <= TOLERANCE


def test_a_picture_is_rescaled_before_the_first_layer() -> None:
    """The relevance of what the layer reads is that of the input: moved, and passed on by offsets and scales."""
    ahead = "n = Sub(i, m)  s = Div(n, d)  x = Transpose<perm=[0, 3, 1, 2]>(s)"
    behind = "h = Conv(x, A, a)  r = Relu(h)  p = GlobalAveragePool(r)  y = Flatten(p)"
    given = {"m": normal(2), "d": np.abs(normal(2, seed=1)) + 1, "A": CONV.weights["A"], "a": CONV.weights["a"]}
    whole = model(f"net (float[N, 6, 5, 2] i) => (float[N, 5] y) {{ {ahead}  {behind} }}", given)
    rest = model(f"net (float[N, 2, 6, 5] x) => (float[N, 5] y) {{ {behind} }}", {k: given[k] for k in "Aa"})
    i = normal(2, 6, 5, 2, seed=3)
    x = ((i - given["m"]) / given["d"]).transpose(0, 3, 1, 2).astype(np.float32)
    inner = onnxray.explain(rest, x, "lrp", composite="epsilon-plus-flat", target=3)
    found = onnxray.explain(whole, i, "lrp", composite="epsilon-plus-flat", target=3)
    assert distance(found.values, np.asarray(inner.values).transpose(0, 2, 3, 1)) <= TOLERANCE


@pytest.mark.parametrize("composite", COMPOSITES)
def test_relevance_is_conserved_without_biases(composite: str) -> None:
    given = {"A": normal(5, 2, 3, 3), "B": normal(5, 4)}
    text = "h = Conv(x, A)  r = Relu(h)  p = MaxPool<kernel_shape=[2, 1]>(r)  q = GlobalAveragePool(p)  f = Flatten(q)"
    net = model(f"net (float[N, 2, 6, 5] x) => (float[N, 4] y) {{ {text}  y = MatMul(f, B) }}", given)
    found = onnxray.explain(net, normal(3, 2, 6, 5), "lrp", composite=composite, target=[0, 1, 2])
    np.testing.assert_allclose(found.delta, 0, atol=1e-3 * np.abs(found.score).min())
    np.testing.assert_allclose(np.asarray(found.values).sum((1, 2, 3)), found.score, rtol=0.01)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_every_composite_is_an_overlay_of_the_same_map(composite: str) -> None:
    found = onnxray.explain(CONV.proto(), CONV.x(), "lrp", target=1, composite=composite)
    rules = COMPOSITES[composite].name
    same = onnxray.explain(CONV.proto(), CONV.x(), "input-x-gradient", target=1, rules=rules)
    assert distance(same.values, np.asarray(found.values)) <= TOLERANCE


def test_it_says_which_node_got_which_rule_and_what_biases_kept() -> None:
    found = onnxray.explain(CONV.proto(), CONV.x(), "lrp", composite="epsilon-plus-flat", target=1)
    assert found.provenance["nodes_by_rule"] == {"flat": ["Conv conv"], "epsilon": ["Gemm head"]}
    assert found.delta is not None
    np.testing.assert_allclose(found.delta, np.asarray(found.values).sum((1, 2, 3)) - found.score, rtol=1e-4, atol=1e-6)
    assert np.abs(found.delta).min() > 0.01


def test_a_saved_file_has_every_weight_once_and_says_its_gap(tmp_path: Any) -> None:
    import onnx
    import onnxruntime

    for composite in ("epsilon-plus", "epsilon-alpha2-beta1"):
        explainer = onnxray.Explainer(CONV.proto(), "lrp", composite=composite)
        path = explainer.save(tmp_path / "lrp.onnx")
        shapes = [tuple(one.dims) for one in onnx.load(path).graph.initializer]
        assert shapes.count((5, 2, 3, 3)) == 1
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        values, delta = session.run(["attribution", "delta"], {"x": CONV.x(), "target": np.array([2, 2, 2])})
        found = explainer(CONV.x(), target=2)
        np.testing.assert_allclose(values, found.values, atol=1e-6)
        np.testing.assert_allclose(delta, found.delta, atol=1e-5)


def test_rules_that_are_no_gradient_are_refused_where_one_is_asked_for() -> None:
    with pytest.raises(onnxray.UnsupportedOperator, match="gives a relevance and no gradient: take method 'lrp'"):
        onnxray.explain(CONV.proto(), CONV.x(), "saliency", rules="lrp-epsilon-plus-flat")
    with pytest.raises(onnxray.InputError, match="epsilon-plus"):
        onnxray.explain(CONV.proto(), CONV.x(), "lrp", composite="epsilon-pluss")


def test_a_users_rule_lies_over_the_composite() -> None:
    def halved(g: Any, node: Any, dy: Any) -> Any:
        return [g.MatMul(g.Mul(dy, 0.5), g.Transpose(node.inputs[1], perm=[1, 0])), None, None]

    found = onnxray.explain(CONV.proto(), CONV.x(), "lrp", rules={"Gemm": halved}, target=1)
    whole = onnxray.explain(CONV.proto(), CONV.x(), "lrp", target=1)
    assert found.provenance["rules"] == "rules"
    assert distance(found.values, 0.5 * np.asarray(whole.values)) <= TOLERANCE


@pytest.mark.parametrize("composite", ["epsilon", "epsilon-plus"])
def test_rounding(composite: str) -> None:
    """Straight through where all layers take the epsilon rule; else the relevance of what it rounds to is handed on."""
    text = "h = MatMul(x, A) q = QuantizeLinear(h, S, Z) d = DequantizeLinear(q, S, Z) r = Relu(d) y = MatMul(r, B)"
    given = {"A": normal(6, 9), "B": normal(9, 4), "S": np.float32(0.5), "Z": np.int8(125)}
    net, x = model(f"net (float[N, 6] x) => (float[N, 4] y) {{ {text} }}", given), DENSE.x()
    h = x.astype(np.float64) @ given["A"]
    d = np.clip(np.round(h / 0.5) * 0.5, None, 1)  # 127 - 125 steps of 0.5
    r = np.maximum(d, 0)
    score = (r @ given["B"])[:, 1:2]
    held = np.clip(h, 0, 1) if composite == "epsilon" else r  # a Relu looks at numbers before rounding
    hidden = held * given["B"][:, 1] * score / stable(score)
    found = onnxray.explain(net, x, "lrp", composite=composite, target=1)
    assert distance(found.values, epsilon(x.astype(np.float64), given["A"], np.zeros(9), hidden)) <= TOLERANCE
    assert (h > 1.25).any()
    if composite == "epsilon-plus":
        np.testing.assert_allclose(found.delta, 0, atol=1e-4)


@pytest.mark.parametrize("more", ["", "e = Tanh(h) r = Add(o, e)"], ids=["one reader", "two readers"])
def test_a_layer_has_the_relevance_of_the_activation_behind_it(more: str) -> None:
    """Of Clip(0, 1) as of any: R = y dy, where y is that of all its readers."""
    text = f"h = Conv(x, A, a) o = Clip(h, low, high) {more or 'r = Identity(o)'} y = Conv(r, B, b)"
    weights = {"A": normal(9, 6, 1), "a": normal(9), "B": normal(4, 9, 1), "b": normal(4)}
    given = weights | {"low": np.float32(0), "high": np.float32(1)}
    net, x = model(f"net (float[N, 6, 1] x) => (float[N, 4, 1] y) {{ {text} }}", given), DENSE.x()[:, :, None]
    a, b = weights["A"][:, :, 0].T, weights["B"][:, :, 0].T
    h = x[:, :, 0].astype(np.float64) @ a + weights["a"]
    r = np.clip(h, 0, 1) + (np.tanh(h) if more else 0)
    hidden = by_z_plus(r, b, weights["b"], (r @ b + weights["b"]) * np.eye(4)[1])
    truth = by_z_plus(x[:, :, 0].astype(np.float64), a, weights["a"], hidden)
    found = onnxray.explain(net, x, "lrp", composite="epsilon-plus", target=(1, 0))
    assert distance(np.asarray(found.values)[:, :, 0], truth) <= TOLERANCE


@pytest.mark.parametrize("activation", ["Clip(s, low, high)", "Sigmoid(s)"])
@pytest.mark.parametrize(("composite", "formula"), [("epsilon", epsilon), ("epsilon-plus", by_z_plus)])
def test_an_activation_of_a_sum_hands_each_layer_its_share(activation: str, composite: str, formula: Spread) -> None:
    """Not the whole relevance to each of the two layers that the sum adds up."""
    text = f"a = Conv(x, A) b = Conv(x, B) s = Add(a, b) o = {activation} y = Conv(o, C)"
    weights = {"A": normal(9, 6, 1), "B": normal(9, 6, 1, seed=1), "C": normal(4, 9, 1, seed=2)}
    given = weights | {"low": np.float32(0), "high": np.float32(6)}
    net, x = model(f"net (float[N, 6, 1] x) => (float[N, 4, 1] y) {{ {text} }}", given), DENSE.x()[:, :, None]
    a, b, c = (weights[name][:, :, 0].T.astype(np.float64) for name in "ABC")
    x64, none = x[:, :, 0].astype(np.float64), np.zeros(9)
    total = x64 @ a + x64 @ b
    o = np.clip(total, 0, 6) if "Clip" in activation else 1 / (1 + np.exp(-total))
    share = formula(o, c, np.zeros(4), (o @ c) * np.eye(4)[1]) / stable(total)
    truth = sum(formula(x64, w, none, x64 @ w * share) for w in (a, b))
    found = onnxray.explain(net, x, "lrp", composite=composite, target=(1, 0))
    assert distance(np.asarray(found.values)[:, :, 0], truth) <= TOLERANCE


@pytest.mark.parametrize("composite", ["epsilon-plus", "epsilon-alpha2-beta1", "epsilon-gamma-box"])
def test_the_form_for_the_cpu_computes_what_the_portable_one_does(composite: str, tmp_path: Any) -> None:
    """Of a layer whose input and output have both signs, of a grouped one and of a dense one."""
    import onnxruntime

    text = "a = Conv(x, A, c) b = Conv<group=2>(a, B) d = ConvTranspose(b, D) f = Flatten(d) y = Gemm(f, G)"
    weights = {"A": normal(4, 6, 1), "c": normal(4), "B": normal(4, 2, 1), "D": normal(4, 3, 1), "G": normal(3, 4)}
    net, x = model(f"net (float[N, 6, 1] x) => (float[N, 4] y) {{ {text} }}", weights), normal(2, 6, 1, seed=3)
    explainer = onnxray.Explainer(net, "lrp", composite=composite)
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "lrp.onnx"), providers=["CPUExecutionProvider"])
    (values,) = session.run(["attribution"], {"x": x, "target": np.array([2, 1])})
    assert distance(explainer(x, target=[2, 1]).values, values) <= TOLERANCE
