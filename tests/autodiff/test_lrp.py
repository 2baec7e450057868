"""The epsilon rule of LRP: the relevance by its formula in numpy, and by Captum on the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import CONV, DENSE, TOLERANCE, Array, model, normal
from measures import distance
from onnxray.autodiff.lrp_overlay import Composite
from onnxray.autodiff.relu_policies import ACTIVATIONS
from onnxray.graph.moving_operators import PASSING

EPSILON = 0.05
RULE = Composite("lrp", epsilon=EPSILON)


def stable(y: Array) -> Array:
    return y + EPSILON * np.where(y < 0, -1, 1)


def dense_relevance(x: Array, k: int) -> Array:
    """R_x = x W (R_y / stable(y)), layer by layer; a Relu passes its relevance on."""
    weights, h = DENSE.weights, DENSE.hidden_of(x)
    r, y = np.maximum(h, 0), DENSE.scores(x)[:, k]
    hidden = r * weights["B"][:, k] * (y / stable(y))[:, None]
    return x * ((hidden / stable(h)) @ weights["A"].T)


@pytest.mark.parametrize("k", range(4))
def test_a_dense_net(k: int) -> None:
    x = DENSE.x()
    found = onnxray.explain(DENSE.proto(), x, "input-x-gradient", target=k, rules=RULE)
    assert distance(found.values, dense_relevance(x, k)) <= TOLERANCE


def test_a_bias_behind_the_product_is_of_its_layer() -> None:
    """MatMul and Add have the relevance of the Gemm that they are."""
    x = DENSE.x()
    split = model(
        """net (float[N, 6] x) => (float[N, 4] y) {
            p = MatMul(x, A)  h = Add(p, a)  r = Relu(h)  q = MatMul(r, B)  y = Add(b, q)
        }""",
        DENSE.weights,
    )
    found = onnxray.explain(split, x, "input-x-gradient", target=1, rules=RULE)
    assert distance(found.values, dense_relevance(x, 1)) <= TOLERANCE


@pytest.mark.parametrize("number", ["CastLike(two, x)", "Expand(two, size)"])
def test_a_number_in_the_type_or_shape_of_the_input_is_constant(number: str) -> None:
    """A product of two values that depend on the input would give half of the relevance to each."""
    x = DENSE.x()
    scaled = model(
        f"""net (float[N, 6] x) => (float[N, 4] y) {{
            size = Shape(x)  c = {number}  d = Div(x, c)  z = Mul(d, c)
            h = Gemm(z, A, a)  r = Relu(h)  y = Gemm(r, B, b)
        }}""",
        DENSE.weights | {"two": np.array(2, np.float32)},
    )
    found = onnxray.explain(scaled, x, "input-x-gradient", target=1, rules=RULE)
    assert distance(found.values, dense_relevance(x, 1)) <= TOLERANCE


def test_a_batch_normalisation_is_of_its_layer() -> None:
    """Conv and BatchNormalization have the relevance of the Conv that they are together."""
    scale, bias, mean, var = (np.abs(normal(5, seed=seed)) + 0.5 for seed in range(4))
    factor = scale / np.sqrt(var + 1e-5)
    weights = CONV.weights | {"s": scale, "o": bias, "m": mean, "v": var}
    apart = model(
        CONV_TEXT.format("c = Conv<pads=[1, 1, 1, 1]>(x, A, a)  h = BatchNormalization(c, s, o, m, v)"), weights
    )
    folded = CONV.weights["A"] * factor[:, None, None, None], (CONV.weights["a"] - mean) * factor + bias
    together = CONV.weights | {"A": folded[0].astype(np.float32), "a": folded[1].astype(np.float32)}
    one = model(CONV_TEXT.format("h = Conv<pads=[1, 1, 1, 1]>(x, A, a)"), together)
    found = [onnxray.explain(net, CONV.x(), "input-x-gradient", target=2, rules=RULE).values for net in (apart, one)]
    assert distance(found[0], np.asarray(found[1])) <= TOLERANCE


CONV_TEXT = """net (float[N, 2, 6, 5] x) => (float[N, 4] y) {{
    {}  r = Relu(h)  p = GlobalAveragePool(r)  f = Flatten(p)  y = Gemm(f, B, b)
}}"""


def test_relevance_is_conserved_without_biases() -> None:
    none = {name: np.zeros_like(array) if array.ndim == 1 else array for name, array in CONV.weights.items()}
    net = CONV.proto()
    del net.graph.initializer[:]
    net.graph.initializer.extend(model("n (float x) => (float x) {}", none).graph.initializer)
    found = onnxray.explain(net, CONV.x(), "input-x-gradient", target=[0, 1, 2], rules="lrp-epsilon")
    np.testing.assert_allclose(np.asarray(found.values).sum((1, 2, 3)), found.score, rtol=1e-4)


def test_a_product_of_two_values_is_shared_by_halves() -> None:
    """x sigmoid(x): half by the factor, half by the sigmoid, which passes its own on; together all of it."""
    net = model("net (float[N, 4] x) => (float[N, 4] y) { s = Sigmoid(x)  y = Mul(x, s) }")
    x = normal(2, 4) + 2
    found = onnxray.explain(net, x, "input-x-gradient", target=1, score="output", rules="lrp-epsilon")
    truth = (x / (1 + np.exp(-x))) * np.eye(4)[[1, 1]]
    np.testing.assert_allclose(found.values, truth, rtol=1e-4)


CALLS = {  # of operators that need more than x
    "Cast": "Cast<to=1>(x)",
    "PRelu": "PRelu(x, slope)",
    "Reshape": "Reshape(x, shape)",
    "Squeeze": "Squeeze(x, last)",
    "Transpose": "Transpose<perm=[0, 2, 1]>(x)",
    "Unsqueeze": "Unsqueeze(x, last)",
}


@pytest.mark.parametrize("op", sorted(ACTIVATIONS | PASSING))
def test_activations_and_moves_pass_on_all_relevance(op: str) -> None:
    """Of both tables no operator is refused; the sum of relevances is the score."""
    net = model(
        f"net (float[N, 4, 1] x) => (float[N, 4] y) {{ a = {CALLS.get(op, f'{op}(x)')}  y = Flatten(a) }}",
        {"slope": np.full(1, 0.25, np.float32), "last": np.array([2]), "shape": np.array([0, 2, 2])},
        opset={"Gelu": 20, "Swish": 24}.get(op, 18),
    )
    x = np.abs(normal(2, 4, 1)) + 2
    found = onnxray.explain(net, x, "input-x-gradient", target=1, score="output", rules="lrp-epsilon")
    np.testing.assert_allclose(np.asarray(found.values).sum((1, 2)), found.score, rtol=1e-4)


def test_an_operator_without_a_rule_of_relevance_is_refused() -> None:
    net = model("net (float[N, 4] x) => (float[N, 4] y) { s = Softmax(x)  y = Mul(s, s) }")
    with pytest.raises(onnxray.UnsupportedOperator, match=r"operator Softmax .* has no rule of relevance"):
        onnxray.explain(net, normal(2, 4), "input-x-gradient", target=1, score="output", rules="lrp-epsilon")


def test_a_weighted_score_has_the_relevance_of_the_weights() -> None:
    """Nodes that select the score are none of the model's: the rules leave them alone."""
    x = DENSE.x()
    one, weights = (
        onnxray.explain(DENSE.proto(), x, "input-x-gradient", target=target, rules=RULE)
        for target in (1, np.eye(4, dtype=np.float32)[[1, 1, 1]])
    )
    np.testing.assert_allclose(weights.values, one.values, rtol=1e-5, atol=1e-7)


def test_a_model_in_float64() -> None:
    net = model("net (double[N, 4] x) => (double[N, 4] y) { y = Tanh(x) }")
    found = onnxray.explain(net, normal(2, 4).astype(np.float64), "input-x-gradient", target=1, rules="lrp-epsilon")
    np.testing.assert_allclose(np.asarray(found.values).sum(1), found.score, rtol=1e-4)


def test_weights_that_vary_are_refused() -> None:
    net = model("net (float[4, 4] x) => (float[4, 4] y) { y = Gemm(x, x) }")
    with pytest.raises(onnxray.UnsupportedOperator, match=r"operator Gemm .* has no rule of relevance"):
        onnxray.explain(net, normal(4, 4), "input-x-gradient", target=(0, 1), rules="lrp-epsilon")


def test_captum_says_the_same(tmp_path: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    attr = pytest.importorskip("captum.attr", reason="Captum is not installed")
    from captum.attr._utils.lrp_rules import EpsilonRule as Peer

    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 6, 3), torch.nn.ReLU())
    net = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(600, 5)).eval()
    x = torch.randn(2, 3, 12, 12)
    file = tmp_path / "net.onnx"
    torch.onnx.export(net, (x,), file, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    for layer in net:
        linear = isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
        layer.rule = Peer(epsilon=EPSILON if linear else 1e-12)
    peer = attr.LRP(net.double()).attribute(x.double(), target=[1, 3]).detach().numpy()
    found = onnxray.explain(file, x.numpy(), "input-x-gradient", target=[1, 3], rules=RULE)
    assert distance(found.values, peer) <= TOLERANCE
