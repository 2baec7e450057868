"""Models that take token ids: what is explained in their place, how that is said, and how tokens are shown."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from onnxray.cli.app import run
from onnxray.diagnostics.inspection import inspect
from PIL import Image

RNG = np.random.default_rng(0)
WORDS, KINDS, HEAD = (RNG.normal(size=shape).astype(np.float32) for shape in ((9, 4), (2, 4), (4, 3)))
IDS = np.array([[3, 1, 8, 0], [2, 2, 5, 7]])
KIND = np.array([[0, 0, 1, 1], [0, 1, 1, 1]])
MASK = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
GIVEN = {"ids": IDS, "kinds": KIND, "mask": MASK}

TEXT = """
<ir_version: 8, opset_import: ["" : 18]>
text (int64[batch, length] ids, int64[batch, length] kinds, int64[batch, length] mask) => (float[batch, 3] scores)
{
    shape = Shape (ids)
    word = Gather (words, ids)
    kind = Gather (types, kinds)
    embedded = Add (word, kind)
    weights = Cast <to = 1> (mask)
    axes = Constant <value_ints = [2]> ()
    column = Unsqueeze (weights, axes)
    squared = Mul (embedded, embedded)
    kept = Mul (squared, column)
    along = Constant <value_ints = [1]> ()
    pooled = ReduceSum <keepdims = 0> (kept, along)
    scores = MatMul (pooled, head)
}
"""


def parsed(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


def text_model() -> onnx.ModelProto:
    return parsed(TEXT, words=WORDS, types=KINDS, head=HEAD)


def explainer(method: str, **options: object) -> onnxray.Explainer:
    with pytest.warns(UserWarning, match="explained is 'word', the embeddings of 'ids'"):
        return onnxray.Explainer(text_model(), method, **options)


def slope(target: int) -> np.ndarray:
    """2 e mask head: the model is a weighted sum of squares."""
    return 2 * (WORDS[IDS] + KINDS[KIND]) * MASK[..., None] * HEAD[:, target]


def test_differentiate_finds_the_words_and_says_so() -> None:
    with pytest.warns(UserWarning, match=r"integers, which have no gradient; explained is 'word', .* 'ids' \(Gather\)"):
        graph = onnxray.differentiate(text_model())
    assert list(graph.gradients) == ["word"]
    seed = np.eye(3, dtype=np.float32)[[1, 1]]
    feeds = {**GIVEN, graph.seeds["scores"]: seed}
    (found,) = ort.InferenceSession(graph.model.SerializeToString()).run(list(graph.gradients.values()), feeds)
    np.testing.assert_allclose(found, slope(1), rtol=1e-5, atol=1e-6)


def test_tables_that_are_not_added_up_are_all_explained() -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 18]>
        shop (int64[n] user, int64[n] item) => (float[n] score)
        { u = Gather (users, user) v = Gather (items, item) both = Mul (u, v)
          axes = Constant <value_ints = [1]> () score = ReduceSum <keepdims = 0> (both, axes) }""",
        users=WORDS,
        items=WORDS[::-1].copy(),
    )
    with pytest.warns(UserWarning, match="explained is 'u', .* and 'v', the embeddings of 'item'"):
        a = onnxray.explain(model, {"user": np.array([1, 2]), "item": np.array([0, 5])}, target=0)
    np.testing.assert_allclose(a.values["u"], WORDS[::-1][[0, 5]], rtol=1e-6)
    np.testing.assert_allclose(a["v"].map("sum"), WORDS[[1, 2]].sum(1), rtol=1e-5)


def test_tables_of_another_head_are_not_explained() -> None:
    """Two nets on the same ids, as in an ensemble that votes: the score of one does not depend on the other's table."""
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 18]>
        two (int64[n] ids) => (float[n, 3] y, float[n, 3] z)
        { u = Gather (users, ids) v = Gather (items, ids) y = MatMul (u, head) z = MatMul (v, head) }""",
        users=WORDS,
        items=WORDS[::-1].copy(),
        head=HEAD,
    )
    told = "explained is 'v', .*; not explained is 'u', as the score does not depend on it"
    with pytest.warns(UserWarning, match=told):
        a = onnxray.explain(model, np.array([1, 2]), target=2, score="z")
    np.testing.assert_allclose(a.values, np.tile(HEAD[:, 2], (2, 1)), rtol=1e-6)
    with pytest.warns(UserWarning, match=told):
        assert list(onnxray.differentiate(model, of="z").gradients) == ["v"]
    with pytest.warns(UserWarning, match="explained is 'u', .* and 'v', the embeddings of 'ids' .Gather.$"):
        assert list(onnxray.differentiate(model).gradients) == ["u", "v"]


def test_integers_that_are_numbers_are_explained_as_such() -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 18]>
        table (int64[n, 4] row) => (float[n, 3] y) { x = Cast <to = 1> (row) y = MatMul (x, head) }""",
        head=HEAD,
    )
    with pytest.warns(UserWarning, match=r"explained is 'x', 'row' as floating-point numbers \(Cast\)"):
        a = onnxray.explain(model, IDS, target=2)
    np.testing.assert_allclose(a.values, np.tile(HEAD[:, 2], (2, 1)), rtol=1e-6)


def test_differentiate_takes_floating_point_inputs_alone() -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 18]>
        both (float[n, 4] x, int64[n] ids) => (float[n, 4] y) { e = Gather (words, ids) y = Mul (x, e) }""",
        words=WORDS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(onnxray.differentiate(model).gradients) == ["x"]


@pytest.mark.parametrize("name", ["differentiate", "Explainer"])
def test_a_model_of_sizes_alone_is_refused(name: str) -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 18]>
        size (int64[n, 4] row) => (float[2] y) { shape = Shape (row) y = Cast <to = 1> (shape) }"""
    )
    with pytest.raises(onnxray.ModelError, match="nothing in the model is a floating-point number that depends on"):
        getattr(onnxray, name)(model)


# Methods ------------------------------------------------------------------------------------------------------


def test_saliency_is_the_closed_form() -> None:
    a = explainer("saliency")(GIVEN, target=1)
    np.testing.assert_allclose(a.values, slope(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(a.map("sum"), slope(1).sum(2), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(a.map(), np.linalg.norm(slope(1), axis=2), rtol=1e-4, atol=1e-5)
    assert "explained is 'word'" in a.provenance["note"]
    assert a.provenance["tokens"] == {"word": "ids"}


def test_integrated_gradients_start_where_no_word_is() -> None:
    """Zeros in place of the words, the kinds staying; along the path the slope is linear: two steps are exact."""
    a = explainer("integrated-gradients", steps=2)(GIVEN, target=1)
    words = WORDS[IDS]
    expected = words * (words + 2 * KINDS[KIND]) * MASK[..., None] * HEAD[:, 1]
    np.testing.assert_allclose(a.values, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(a.delta, 0, atol=1e-4)
    np.testing.assert_allclose(a.map(), expected.sum(2), rtol=1e-4, atol=1e-5)


def test_occlusion_takes_whole_tokens() -> None:
    a = explainer("occlusion")(GIVEN, target=1)
    there, gone = WORDS[IDS] + KINDS[KIND], KINDS[KIND]
    falls = ((there**2 - gone**2) * MASK[..., None]) @ HEAD[:, 1]
    np.testing.assert_allclose(a.values, np.repeat(falls[..., None], 4, -1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(a.map(), falls, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "options"), [("saliency", {}), ("integrated-gradients", {"steps": 5}), ("input-x-gradient", {})]
)
def test_a_saved_explainer_says_the_same(method: str, options: dict, tmp_path: Path) -> None:
    one = explainer(method, **options)
    session = ort.InferenceSession(one.save(tmp_path / "saved.onnx"))
    (found,) = session.run(["attribution"], {**GIVEN, "target": np.array([2, 0])})
    np.testing.assert_allclose(found, one(GIVEN, target=[2, 0]).values, rtol=1e-5, atol=1e-6)


def test_numbers_are_kept(tmp_path: Path) -> None:
    a = explainer("saliency")(GIVEN)
    again = onnxray.Attribution.load(a.save(tmp_path / "a.npz"))
    assert again.layout == "NLC"
    np.testing.assert_array_equal(again.map(), a.map())
    assert {view.kind for view in again.views().values()} == {"tokens"}
    assert again.save(tmp_path / "again.png").read_bytes() == a.save(tmp_path / "a.png").read_bytes()


# What people see ----------------------------------------------------------------------------------------------


def test_inspect_says_what_is_explained() -> None:
    found = inspect(onnxray.load(text_model()))
    assert found.note is not None
    assert "explained is 'word'" in found.note
    assert found.gradient.differentiable
    assert {layer.name for layer in found.layers} >= {"word", "embedded", "scores"}


def test_the_command_lists_tokens_and_draws_them_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(text_model(), "text.onnx")
    np.savez("text.npz", **GIVEN)
    assert run(["explain", "text.onnx", "text.npz", "-m", "saliency", "--target", "1", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.count("the embeddings of 'ids'") == 1
    first, second = (json.loads(line) for line in said.out.splitlines())
    norms = np.linalg.norm(slope(1), axis=2)
    for record, ids, expected in zip((first, second), IDS, norms, strict=True):
        tokens = record["features"]
        assert [one["name"] for one in tokens] == [f"token {k}" for k in np.argsort(-np.abs(expected), kind="stable")]
        assert [one["value"] for one in tokens] == [ids[one["place"]] for one in tokens]
        np.testing.assert_allclose(
            [one["attribution"] for one in tokens], [expected[one["place"]] for one in tokens], rtol=1e-4
        )
        with Image.open(record["files"][0]) as picture:
            assert picture.height > 4 * 20
    assert run(["inspect", "text.onnx"]) == 0
    assert "explained is 'word'" in capsys.readouterr().out


def test_ids_that_come_as_floating_point_numbers() -> None:
    """As tf2onnx writes a Keras model of an Input without a dtype; the mask compares them."""
    text = TEXT.replace("int64[batch, length] ids", "float[batch, length] numbers")
    text = text.replace("shape = Shape (ids)", "ids = Cast <to = 7> (numbers)\n    none = Equal (numbers, zero)")
    model = parsed(text, words=WORDS, types=KINDS, head=HEAD, zero=np.zeros((), np.float32))
    given = {"numbers": IDS.astype(np.float32), "kinds": KIND, "mask": MASK}
    said = (
        "takes ids as floating-point numbers, which have no gradient; explained is 'word', the embeddings of 'numbers'"
    )
    with pytest.warns(UserWarning, match=said):
        found = onnxray.explain(model, given, target=1)
    np.testing.assert_allclose(found.values, slope(1), rtol=1e-4, atol=1e-5)
    report = inspect(onnxray.load(model))
    assert report.gradient.differentiable
    assert report.note is not None
    assert said in report.note


QUANTISED = """
<ir_version: 8, opset_import: ["" : 18]>
text (int64[batch, length] ids) => (float[batch, 3] scores)
{
    picked = Gather (words, ids)
    word = DequantizeLinear (picked, scale, zero)
    sizes = Shape (word)
    turned = Transpose <perm = [1, 0, 2]> (picked)
    flat = Unsqueeze (turned, none)
    real = DequantizeLinear (flat, scale, zero)
    squared = Mul (real, real)
    along = Constant <value_ints = [0, 1]> ()
    pooled = ReduceSum <keepdims = 0> (squared, along)
    scores = MatMul (pooled, head)
}
"""


def test_embeddings_of_a_quantised_table_that_is_dequantised_behind_a_transpose(tmp_path: Path) -> None:
    """As onnxruntime's quantiser leaves a recurrent net: what it dequantises first is read for its shape alone."""
    scale, zero = np.float32(0.02), np.uint8(120)
    words = np.random.default_rng(1).integers(0, 255, (9, 4)).astype(np.uint8)
    model = parsed(QUANTISED, words=words, scale=scale, zero=zero, head=HEAD, none=np.array([0]))
    real = (words.astype(np.float32) - zero) * scale
    with pytest.warns(UserWarning, match="explained is 'word', the embeddings of 'ids'"):
        explainer = onnxray.Explainer(model)
    found = explainer({"ids": IDS}, target=2)
    np.testing.assert_allclose(found.values, 2 * real[IDS] * HEAD[:, 2], rtol=1e-4)
    (shipped,) = ort.InferenceSession(model.SerializeToString()).run(None, {"ids": IDS})
    np.testing.assert_array_equal(found.score, shipped[:, 2])
    saved = ort.InferenceSession(explainer.save(tmp_path / "explainer.onnx"))
    (again,) = saved.run(["attribution"], {"ids": IDS, "target": np.array([2, 2])})
    np.testing.assert_allclose(again, found.values, rtol=1e-6)
    assert inspect(onnxray.load(model)).gradient.differentiable
