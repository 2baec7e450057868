"""A part that is taken of a tensor is taken before the layers that compute each place by itself."""

import numpy as np
import onnx
import onnxray
import pytest
from gradcheck import evaluate
from onnxray.loading.load import load
from onnxray.passes.early_slices import slice_early

BLOCK = """
    n = LayerNormalization <axis = -1> (x, scale)
    q = MatMul (n, wq)
    qh = Reshape (q, heads)
    qt = Transpose <perm = [0, 2, 1, 3]> (qh)
    k = MatMul (n, wk)
    kh = Reshape (k, heads)
    kt = Transpose <perm = [0, 2, 3, 1]> (kh)
    s = MatMul (qt, kt)
    m = Add (s, mask)
    p = Softmax <axis = -1> (m)
    v = MatMul (n, wv)
    vh = Reshape (v, heads)
    vt = Transpose <perm = [0, 2, 1, 3]> (vh)
    o = MatMul (p, vt)
    ot = Transpose <perm = [0, 2, 1, 3]> (o)
    oh = Reshape (ot, whole)
    a = Add (x, oh)
    b = MatMul (a, wide)
    c = Relu (b)
    d = MatMul (c, slim)
    e = Add (a, d)
"""
TAILS = {
    "a token": "y = Gather <axis = 1> (e, first)",
    "the last token": "y = Gather <axis = 1> (e, last)",
    "two tokens": "f = Gather <axis = 1> (e, first)  g = Gather <axis = 1> (e, second)  y = Add (f, g)",
    "a piece": "y = Slice (e, two, four, one)",
    "before the products": "f = Transpose <perm = [1, 0, 2]> (e)  y = Gather <axis = 0> (f, second)",
}
WHOLE = {
    "other readers": "f = Gather <axis = 1> (e, first)  g = ReduceMean <keepdims = 0> (e, one)  y = Add (f, g)",
    "most of them": "y = Slice (e, one, nine, one)",
    "two far apart": "f = Gather <axis = 1> (e, first)  g = Gather <axis = 1> (e, last)  y = Add (f, g)",
    "a computed place": "f = ArgMax <axis = 0, keepdims = 0> (hint)  y = Gather <axis = 1> (e, f)",
}


def model(tail):
    rng = np.random.default_rng(3)
    dims = "M, 8" if "Slice" in tail else "M"
    body = BLOCK + tail.replace("  ", "\n    ")
    hint = ", float[9] hint" if "hint" in tail else ""
    text = f'<ir_version: 9, opset_import: ["" : 18]> g (float[N, 9, 8] x{hint}) => (float[N, {dims}] y) {{{body}\n}}'
    proto = onnx.parser.parse_model(text)
    weights = {"scale": np.ones(8), "mask": np.eye(9)[None, None]}
    weights |= {name: rng.standard_normal((8, 8)) for name in ("wq", "wk", "wv")}
    weights |= {"wide": rng.standard_normal((8, 16)), "slim": rng.standard_normal((16, 8))}
    whole = {"heads": [0, 9, 2, 4], "whole": [0, 9, 8], "first": 0, "second": 1, "last": -1}
    whole |= {"one": [1], "two": [2], "four": [4], "nine": [9]}
    arrays = {name: np.asarray(one, np.float32) for name, one in weights.items()}
    arrays |= {name: np.asarray(one, np.int64) for name, one in whole.items()}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(one, name) for name, one in arrays.items())
    return proto


def narrowed(tail, kept=()):
    """The model, and with its parts taken early."""
    program = load(model(tail)).copy()
    changed = slice_early(program.program, [program.value(name) for name in kept])
    return program, changed


FEEDS = {"x": np.random.default_rng(0).standard_normal((2, 9, 8)).astype(np.float32)}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_results_and_gradients_stay(tail):
    program, changed = narrowed(tail)
    proto = onnx.shape_inference.infer_shapes(program.proto(), strict_mode=True, data_prop=True)
    assert changed
    found, truth = evaluate(proto, FEEDS)["y"], evaluate(model(tail), FEEDS)["y"]
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6 * np.abs(truth).max())  # products of two row counts
    gradients = []
    for one in (proto, model(tail)):
        graph = onnxray.differentiate(one, "y", "x")
        seed = np.ones_like(evaluate(one, FEEDS)["y"])
        gradients.append(evaluate(graph.model, FEEDS | {graph.seeds["y"]: seed})[graph.gradients["x"]])
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_only_keys_and_values_are_computed_for_all():
    program, _ = narrowed(TAILS["a token"])
    sizes = {name: list(program.value(name).shape)[1:] for name in ("q", "k", "v", "p", "b", "e")}
    assert sizes == {"q": [1, 8], "k": [9, 8], "v": [9, 8], "p": [2, 1, 9], "b": [1, 16], "e": [1, 8]}


@pytest.mark.parametrize("tail", WHOLE.values(), ids=WHOLE)
def test_what_is_needed_stays_whole(tail):
    program, changed = narrowed(tail)
    assert not changed
    assert program.value("e").shape[1] == 9


def test_kept_values_stay_whole():
    program, changed = narrowed(TAILS["a token"], kept=["b"])
    assert program.value("b").shape[1] == 9
    assert program.value("d").shape[1] == 1
    assert changed
    assert [value.name for value in program.outputs] == ["y"]


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "deep-lift", "lrp", "occlusion"])
def test_attributions_of_a_first_token_are_those_of_all(method):
    """A model that adds nothing times the others has no part to take."""
    tail = "f = Gather <axis = 1> (e, first)  y = MatMul (f, wide)"
    longer = (
        "f = Gather <axis = 1> (e, first)  g = ReduceSum <keepdims = 0> (e, one)  z = Mul (g, zero)  h = Add (f, z)  "
    )
    other = model(longer + "y = MatMul (h, wide)")
    other.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "zero"))
    options = {"occlusion": {"window": 3}, "integrated-gradients": {"steps": 4}, "lrp": {"composite": "attnlrp"}}.get(
        method, {}
    )
    maps = [onnxray.explain(one, FEEDS["x"], method=method, target=3, **options).values for one in (model(tail), other)]
    np.testing.assert_allclose(*maps, rtol=1e-3, atol=1e-5)


def test_features_inside_are_explained_whole():
    tail = "f = Gather <axis = 1> (e, first)  y = MatMul (f, wide)"
    found = onnxray.explain(model(tail), FEEDS["x"], method="saliency", target=3, features="b")
    assert found.values.shape == (2, 9, 16)
    assert not found.values[:, 1:].any()
    assert found.values[:, 0].any()
