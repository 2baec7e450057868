"""Attention rollout and gradient rollout: the papers' formulas in numpy, what they refuse, files, PyTorch."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from attention_nets import (
    ATTENTION,
    ROLLOUTS,
    Attentive,
    attention_rollout,
    gradient_rollout,
    vision_transformer,
    with_computed_sizes,
)
from by_hand import TOLERANCE, Array, model, normal
from measures import distance
from real_files import path

METHODS = list(ROLLOUTS)
SLOW = partial(pytest.param, marks=pytest.mark.slow)
IDS, MASK = np.array([[3, 1, 8, 0, 5], [2, 2, 7, 0, 0]]), np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
READ = {
    "token": np.eye(5)[[0, 0]],
    "mean": np.full((2, 5), 0.2),
    "masked": MASK / MASK.sum(1, keepdims=True),
    "words": np.eye(5)[[1, 1]],
}
words_note = pytest.mark.filterwarnings("ignore:the model takes integers")


def formula(
    method: str, net: Attentive, x: Array, read: Array, place: tuple[int, ...], mask: Array | None = None
) -> Array:
    """The formula on attentions in numpy and their central differences; ``place`` is the score of an example."""
    attentions = net.run(x, mask)[1]
    if method == "attention-rollout":
        return attention_rollout(attentions, read)
    return gradient_rollout(attentions, net.slopes(x, lambda y: y[(slice(None), *place)], mask), read)


@pytest.mark.parametrize("head", ["token", SLOW("mean")])
@pytest.mark.parametrize("method", METHODS)
def test_patches(method: str, head: str, tmp_path: Path) -> None:
    """The row of the class token, or the mean of all, on the grid of the patches; the file says the same."""
    net, x = Attentive(head=head), Attentive().x(2)
    read = np.eye(10)[[0, 0]] if head == "token" else np.full((2, 10), 0.1)
    explainer = onnxray.Explainer(net.proto(), method)
    found = explainer(x, 2)
    assert distance(found.values, formula(method, net, x, read, (2,))[:, 1:].reshape(2, 3, 3)) <= TOLERANCE
    assert distance(found.score, net.scores(x)[:, 2]) <= TOLERANCE
    assert found.provenance["layer"] == "softmax1"
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "rollout.onnx"))
    feeds = {"x": x, "target": np.array([2, 2])}
    assert distance(session.run(["attribution"], feeds)[0], found.values) <= 1e-6


@words_note
@pytest.mark.parametrize("head", [SLOW("token"), SLOW("mean"), "masked", SLOW("words")])
@pytest.mark.parametrize("method", ["gradient-rollout", SLOW("attention-rollout")])
def test_words(method: str, head: str, tmp_path: Path) -> None:
    """From the tokens that the score reads: the first, all, those that a mask keeps, one of a sequence."""
    net, place = Attentive("words", head), (1, 2) if head == "words" else (2,)
    explainer = onnxray.Explainer(net.proto(), method)
    found = explainer({"ids": IDS, "mask": MASK}, [place] * 2 if head == "words" else 2)
    truth = formula(method, net, IDS, READ[head], place, MASK)
    assert found.values.shape == (2, 5, 8)
    assert distance(found.map(), truth) <= TOLERANCE
    assert np.ptp(found.values, axis=2).max() == 0
    if head != "words":  # a file takes one index for each example
        session = onnxruntime.InferenceSession(explainer.save(tmp_path / "rollout.onnx"))
        (again,) = session.run(["attribution"], {"ids": IDS, "mask": MASK, "target": np.array([2, 2])})
        assert distance(again, found.values) <= 1e-6


@words_note
@pytest.mark.slow
def test_padding_changes_no_map() -> None:
    """A masked word gets nothing, and a short text has the map that it has alone."""
    explainer = onnxray.Explainer(Attentive("words", "masked").proto(), "attention-rollout")
    found = explainer({"ids": IDS, "mask": MASK}, 2).map()
    alone = explainer({"ids": IDS[1:, :3], "mask": MASK[1:, :3]}, 2).map()
    assert distance(found[1, :3], alone[0]) <= TOLERANCE
    assert not found[1, 3:].any()


@pytest.mark.slow
def test_the_target_changes_the_gradients_rollout_alone() -> None:
    net = Attentive()
    for method in METHODS:
        first, second = (onnxray.explain(net.proto(), net.x(), method, target=k).values for k in (1, 2))
        assert (distance(first, second) == 0) == (method == "attention-rollout")


def test_patches_may_be_as_many_as_only_a_batch_tells() -> None:
    """The -1 of a Reshape is open while the batch is: the tokens are told all the same."""
    net, x = Attentive(), Attentive().x(2)
    first, second = (
        onnxray.explain(proto, x, "attention-rollout").values
        for proto in (net.proto(), with_computed_sizes(net.proto()))
    )
    assert distance(first, second) <= TOLERANCE


def test_registers_are_dropped() -> None:
    """Four registers and the class token stand before the patches."""
    proto, x = vision_transformer(registers=4), normal(2, 3, 12, 12)
    held = onnxray.activations(proto, x, ["w0", "w1"])
    expected = attention_rollout([held[name][:, None] for name in ("w0", "w1")], np.eye(14)[[0, 0]])
    found = onnxray.explain(proto, x, "attention-rollout")
    assert distance(found.values, expected[:, 5:].reshape(2, 3, 3)) <= TOLERANCE


def test_queries_behind_the_patches_are_dropped() -> None:
    """As YOLOS has them: the class token, the patches, then the tokens of detection."""
    proto, x = vision_transformer(registers=2), normal(1, 3, 12, 12)
    nodes = {node.output[0]: node for node in proto.graph.node}
    nodes["t0"].input[:] = [nodes["t0"].input[0], nodes["t0"].input[1], "queries"]
    cls = next(one for one in proto.graph.initializer if one.name == "tokens")
    cls.CopyFrom(onnx.numpy_helper.from_array(normal(1, 1, 8), "tokens"))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(normal(1, 2, 8), "queries"))
    held = onnxray.activations(proto, x, ["w0", "w1"])
    expected = attention_rollout([held[name][:, None] for name in ("w0", "w1")], np.eye(12)[[0]])
    found = onnxray.explain(proto, x, "attention-rollout")
    assert distance(found.values, expected[:, 1:10].reshape(1, 3, 3)) <= TOLERANCE


# Spelt otherwise ---------------------------------------------------------------------------------------------

BEHIND = "u{k} = Add(t{k}, ar{k}) m{k} = MatMul(u{k}, M{k}) h{k} = Tanh(m{k}) t{next} = Add(u{k}, h{k})"
QKV = """
    q{k} = MatMul(t{k}, Q{k}) qr{k} = Reshape(q{k}, apart) k{k} = MatMul(t{k}, K{k}) kr{k} = Reshape(k{k}, apart)
    v{k} = MatMul(t{k}, V{k}) vr{k} = Reshape(v{k}, apart)
"""
FORMS = {
    "com.microsoft": "qkv{k} = Concat<axis=-1>(Q{k}, K{k}, V{k}) "
    "ar{k} = com.microsoft.Attention<num_heads=2, scale=1.0>(t{k}, qkv{k}, bias)",
    "where it is NaN": ATTENTION.partition("[softmax")[0]
    + """p{k} = Softmax<axis=-1>(sm{k}) nan{k} = IsNaN(p{k}) w{k} = Where(nan{k}, none, p{k})
    a{k} = MatMul(w{k}, vh{k}) at{k} = Transpose<perm=[0, 2, 1, 3]>(a{k}) ar{k} = Reshape(at{k}, joined)""",
    "heads in the batch": QKV
    + """qh{k} = Transpose<perm=[0, 2, 1, 3]>(qr{k}) qb{k} = Reshape(qh{k}, many)
    kh{k} = Transpose<perm=[0, 2, 1, 3]>(kr{k}) kb{k} = Reshape(kh{k}, many) kt{k} = Transpose<perm=[0, 2, 1]>(kb{k})
    vh{k} = Transpose<perm=[0, 2, 1, 3]>(vr{k}) vb{k} = Reshape(vh{k}, many)
    s{k} = MatMul(qb{k}, kt{k}) w{k} = Softmax<axis=-1>(s{k}) ab{k} = MatMul(w{k}, vb{k})
    a{k} = Reshape(ab{k}, back) at{k} = Transpose<perm=[0, 2, 1, 3]>(a{k}) ar{k} = Reshape(at{k}, joined)""",
    "Einsum": QKV
    + """s{k} = Einsum<equation="nthd,nshd->nhts">(qr{k}, kr{k}) w{k} = Softmax(s{k})
    a{k} = Einsum<equation="nhts,nshd->nthd">(w{k}, vr{k}) ar{k} = Reshape(a{k}, joined)""",
    "attention on the right": ATTENTION.partition("[softmax")[0]
    + """w{k} = Softmax<axis=-1>(sm{k}) wt{k} = Transpose<perm=[0, 1, 3, 2]>(w{k})
    vt{k} = Transpose<perm=[0, 1, 3, 2]>(vh{k}) a{k} = MatMul(vt{k}, wt{k})
    at{k} = Transpose<perm=[0, 3, 1, 2]>(a{k}) ar{k} = Reshape(at{k}, joined)""",
}
MORE = {"bias": np.zeros(24, np.float32), "many": np.array([-1, 10, 4]), "back": np.array([-1, 2, 10, 4])}


@cache
def plain() -> Array:
    return onnxray.explain(Attentive().proto(), Attentive().x(2), "gradient-rollout", target=2).values


@pytest.mark.parametrize("form", ["com.microsoft", *map(SLOW, list(FORMS)[1:])])
def test_attention_spelt_otherwise(form: str) -> None:
    """Fused attention is spelled out first; the values of Attentive are the same in every form."""
    net = Attentive(attention=f"{FORMS[form]} {BEHIND}")
    proto, x = net.proto(), net.x(2)
    proto.opset_import.add(domain="com.microsoft", version=1)
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, name) for name, v in MORE.items() if name in used)
    found = onnxray.explain(proto, x, "gradient-rollout", target=2)
    assert distance(found.values, plain()) <= TOLERANCE


@words_note
@pytest.mark.slow
def test_queries_may_be_as_many_as_only_a_run_tells() -> None:
    """As in exports of TensorFlow, whose shapes are computed: the keys alone are counted."""
    file = path("ort_TFBertForQuestionAnswering_tiny")
    if not file.exists():
        pytest.skip(f"{file.name} of shared/data is not here")
    ids, ones = np.arange(1, 8, dtype=np.int32)[None], np.ones((1, 7), np.int32)
    given = {"input_ids": ids, "attention_mask": ones, "token_type_ids": 0 * ones}
    found = onnxray.explain(file, given, "attention-rollout", target=3).map()
    assert found.shape == (1, 7)
    assert found.min() > 0
    assert found.sum() == pytest.approx(1, abs=1e-5)  # as the rows of every layer's attention


# What has no rollout ------------------------------------------------------------------------------------------

WINDOWS = (
    ATTENTION.replace("q{k} = MatMul(t{k}", "tw{k} = Reshape(t{k}, windows) q{k} = MatMul(tw{k}")
    .replace("ar{k} = Reshape(at{k}, joined)", "aj{k} = Reshape(at{k}, joined) ar{k} = Reshape(aj{k}, whole)")
    .replace("MatMul(t{k}", "MatMul(tw{k}")
)
REFUSED = {
    "windows": (WINDOWS, "'softmax0' attends to 5 tokens, which are neither .* windows"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_rollout_is_refused(kind: str) -> None:
    attention, message = REFUSED[kind]
    net = Attentive(attention=attention)
    proto = net.proto()
    shapes = {"windows": np.array([-1, 5, 8]), "whole": np.array([-1, 10, 8])}
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, name) for name, v in shapes.items() if name in used)
    with pytest.raises(onnxray.ModelError, match=f"gradient-rollout.*{message}") as caught:
        onnxray.explain(proto, net.x(1), "gradient-rollout")
    assert "\n" not in str(caught.value)


def test_no_attention_is_refused() -> None:
    proto = model("net (float[N, 5] x) => (float[N, 3] y) { h = MatMul(x, A) y = Softmax(h) }", {"A": normal(5, 3)})
    for method in METHODS:
        with pytest.raises(onnxray.ModelError, match=f"{method} found no attention between input and score"):
            onnxray.explain(proto, normal(1, 5), method, score="output")


def test_features_inside_are_refused() -> None:
    with pytest.raises(onnxray.InputError, match="maps the model's attention: features= is for other methods"):
        onnxray.explain(Attentive().proto(), Attentive().x(1), "attention-rollout", features="c")
